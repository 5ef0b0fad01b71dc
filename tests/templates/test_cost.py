"""What the templates make has a price, the profiles keep to their goals, and what docs/cost.md says is what is computed."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from infra.deployment import configuration, cost, templates

TABLE = cost.read()
EXAMPLE = configuration.read(cost.EXAMPLE)
DOCUMENT = (templates.ROOT / "docs" / "cost.md").read_text("utf-8")


def month(profile: str, config: configuration.Configuration = EXAMPLE) -> list[cost.Line]:
    return cost.idle(cost.profiled(config, profile), TABLE)


@pytest.mark.parametrize(("profile", "goal"), [("economy", 300), ("standard", 500)])
def test_an_idle_month_keeps_to_its_goal(profile: str, goal: int) -> None:
    assert TABLE["goals"][profile] == goal
    assert cost.total(month(profile)) <= goal, cost.text(month(profile))


def test_other_regions_cost_no_more_when_nothing_happens_but_two_keys_each() -> None:
    """The way is the same NAT gateway; a member account and the forensic account have one key each in each Region (and fourteen names more)."""
    abroad = replace(EXAMPLE, member_regions=("eu-central-1", "eu-west-1", "us-east-1"))
    more = cost.total(month("standard", abroad)) - cost.total(month("standard"))
    assert 4.0 <= more < 4.05


def test_every_type_of_every_template_has_a_row() -> None:
    """Conditions and stacks that the example leaves out included."""
    types = {r["Type"] for body in templates.reading().values() for r in body["Resources"].values()}
    rows = set(TABLE["prices"]) | set(TABLE["free"])
    assert types <= rows, f"add {sorted(types - rows)} to prices or free in infra/prices.yaml"
    assert not set(TABLE["prices"]) & set(TABLE["free"])
    unused = set(TABLE["free"]) - types
    assert not unused, f"no template has {sorted(unused)}"


def test_a_type_without_a_row_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    known: dict[str, Any] = copy.deepcopy(dict(templates.reading()))
    known["network"]["Resources"]["Firewall"] = {"Type": "AWS::NetworkFirewall::Firewall", "Properties": {}}
    monkeypatch.setattr(templates, "reading", lambda *_: known)
    with pytest.raises(cost.CostError, match=r"network\.Firewall: AWS::NetworkFirewall::Firewall has no price"):
        month("standard")


def test_counts_are_those_of_the_templates() -> None:
    """AWS PrivateLink pricing: each zone of an interface endpoint counts, gateway endpoints are free."""
    hours = {
        profile: next(line.quantity for line in month(profile) if "interface endpoint" in line.item) / TABLE["hours"]
        for profile in cost.PROFILES
    }
    assert hours == {"economy": 2, "standard": 8, "closed": 20}
    two = replace(EXAMPLE, parameters={**EXAMPLE.parameters, "EndpointZones": "2"})
    (line,) = [line for line in month("closed", two) if "interface endpoint" in line.item]
    assert line.quantity == 2 * 20 * TABLE["hours"]
    assert not [line for line in month("closed") if "NatGateway" in line.item]


def test_a_new_environment_class_without_a_price_is_an_error() -> None:
    sizes = templates.reading()["mwaa"]["Parameters"]["EnvironmentClass"]["AllowedValues"]
    assert set(TABLE["prices"][cost.ENVIRONMENT]["hourly"]) == set(sizes) - {"by-profile"}


def test_unconfirmed_prices_are_said_with_what_the_goal_bears() -> None:
    lines = month("economy")
    assert TABLE["prices"][cost.ENVIRONMENT]["unconfirmed"] == ["mw1.micro"]
    bearable = cost.highest_price(lines, TABLE["goals"]["economy"])
    assert bearable > TABLE["prices"][cost.ENVIRONMENT]["hourly"]["mw1.micro"]


def test_a_case_is_a_sum_of_its_formulas() -> None:
    one = cost.case(TABLE)
    assert cost.total(one) == pytest.approx(50.9, abs=0.5)
    # twice the bytes on disk is nearly twice the price: snapshots are most of it
    assert cost.total(cost.case(TABLE, used_gib=80)) > 1.9 * cost.total(one)
    assert cost.total(cost.case(TABLE, region_abroad=1)) > cost.total(one) + 5


@pytest.mark.parametrize(("formula", "value"), [("2 * a + 1", 7), ("(a - 1) / 4", 0.5)])
def test_formulas(formula: str, value: float) -> None:
    assert cost.evaluate(formula, {"a": 3}) == value


@pytest.mark.parametrize("formula", ["b", "__import__('os')", "a ** 2", "a if a else 1", "'x'"])
def test_what_is_no_formula_is_refused(formula: str) -> None:
    with pytest.raises(cost.CostError, match="not a formula"):
        cost.evaluate(formula, {"a": 3})


def test_every_price_has_a_page_and_the_table_a_day() -> None:
    assert isinstance(TABLE["read"], date)
    for row in [*TABLE["prices"].values(), *TABLE["assumed"], *TABLE["case"]["lines"]]:
        assert row["page"]


@pytest.mark.parametrize("profile", cost.PROFILES)
def test_the_document_has_the_computed_totals(profile: str) -> None:
    """Within five dollars: an alarm more is no reason to write the page again."""
    stated = re.search(rf"\| `{profile}`[^|]*\|.*\| ([0-9]+) \|", DOCUMENT)
    assert stated and abs(int(stated[1]) - cost.total(month(profile))) <= 5, profile
    assert f"≈ {round(cost.total(cost.case(TABLE)))} USD" in DOCUMENT


def test_what_mwaa_makes_for_itself_is_printed_beside_the_sums(capsys: pytest.CaptureFixture[str]) -> None:
    """Amazon MWAA user guide, "Managing access to VPC endpoints": with a private web server two endpoints, each in both zones."""
    assert cost.main([]) == 0
    assert f"the endpoints that MWAA makes for itself, {2 * 2 * 730 * 0.01:.2f} USD" in capsys.readouterr().out
    assert "29 USD if AWS bills them to you" in re.sub(r"\s+", " ", DOCUMENT)
