"""The calculator: its inputs are what is counted and measured elsewhere, its formula is the one in the page, and AWS's quotas bound a storm."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from infra.deployment import api_budget, capacity, cost, templates

TABLE, PRICES = capacity.read(), cost.read()
PAGE = (templates.ROOT / "docs" / "capacity.md").read_text("utf-8")
VALUES = capacity.inputs(TABLE)


def plan(rate: float, **changed: float) -> capacity.Plan:
    return capacity.plan(rate, capacity.inputs(TABLE, changed), TABLE, PRICES)


def test_every_input_says_where_it_is_from_and_is_in_the_page() -> None:
    for name, row in TABLE["inputs"].items():
        assert re.match(r"(measured|counted|assumed|chosen|the same)", row["from"]), name
        assert f"`{name}`" in PAGE, name


def test_a_wait_costs_what_the_page_measured_within_a_fifth() -> None:
    """docs/capacity.md, the table of `make waiting`: 1,000 snapshot waits."""
    row = next(line for line in PAGE.splitlines() if line.startswith("| 1,000 |"))
    percent = float(re.findall(r"([\d.]+) %", row)[-1])
    assert VALUES["wait_processor_percent"] * 1000 == pytest.approx(percent, rel=0.2)


def test_the_tasks_are_those_of_the_dag() -> None:
    """Text, because this suite has no Airflow: every operator of the flows of a case, and the opening."""
    flows = (templates.ROOT / "plugins" / "forensics" / "flows.py").read_text("utf-8")
    of_a_case = flows[: flows.index("PROFILES = ")] + flows[flows.index("def report()") :]
    started = len(re.findall(r"= (?!Empty)\w+Operator\(", of_a_case)) + 1
    assert VALUES["tasks"] == started


def test_the_formula_is_the_one_in_the_page() -> None:
    found = plan(40)
    starts = VALUES["tasks"] + VALUES["resumes"]
    assert found.at_once == 40 * VALUES["case_hours"]
    assert found.slots == pytest.approx(40 / 3600 * starts * VALUES["slot_seconds"] / VALUES["occupancy"])
    assert found.cores == pytest.approx(40 / 3600 * starts * VALUES["start_processor_seconds"] / VALUES["busy"])
    assert found.instances == 40 * VALUES["instance_hours"]


def test_more_cases_never_need_less() -> None:
    plans = [plan(rate) for rate in (0.5, 1, 5, 20, 50, 100, 200, 500)]
    for name in ("slots", "cores", "triggerers", "instances", "environment_usd", "cases_usd"):
        values = [getattr(p, name) for p in plans]
        assert values == sorted(values), name


@pytest.mark.parametrize("rate", [1, 10, 50, 100, 500])
def test_the_page_shows_what_the_command_prints(rate: float) -> None:
    line = capacity.text([plan(rate)]).splitlines()[1]
    assert line in PAGE, "make capacity prints another line now: put it into docs/capacity.md"


def test_the_environment_is_the_cheapest_that_carries_them_and_a_rate_without_one_is_said() -> None:
    small = plan(1)
    assert (small.environment, small.workers) == ("mw1.micro", 1)
    with pytest.raises(capacity.CapacityError, match="deploy a second one"):
        plan(1e6)


def test_wrong_words_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--set", "speed=3"], ["--set", "tasks=many"], ["--set", "tasks=0"], ["--cases-per-hour", "-1"]):
        assert capacity.main(words) == 2
        assert capsys.readouterr().err.startswith("capacity: ")
    assert capacity.main(["--cases-per-hour", "20", "--set", "case_hours=1", "--storm", "10"]) == 0
    assert "A storm of 10 cases" in capsys.readouterr().out


# ---------------------------------------------------------------------- quotas
def uses(cases: int, tree: dict[str, Any] | None = None) -> list[api_budget.Use]:
    return [*api_budget.storm(cases, tree or api_budget.counted(), api_budget.quotas())]


def test_a_bucket_delays_what_exceeds_it() -> None:
    """RunInstances: 5 at once, 2 a second (Amazon EC2 developer guide, Request throttling)."""
    (run,) = uses(100, {"forensic": {"ec2": {"RunInstances": 1}}})
    assert (run.requests, run.delay, run.source) == (
        100,
        47.5,
        "Amazon EC2 developer guide, Request throttling for the Amazon EC2 API",
    )
    (few,) = uses(5, {"forensic": {"ec2": {"RunInstances": 1}}})
    assert few.delay == 0


def test_what_has_no_published_quota_has_no_delay_and_is_shown() -> None:
    tree = {"member": {"ssm": {"SendCommand": 3}}}
    (sent,) = uses(100, tree)
    assert sent.delay is None
    assert "ssm:SendCommand" in api_budget.text(100, uses(100, tree))


def test_every_service_that_a_case_asks_has_a_row_or_is_named_as_unpublished() -> None:
    table = api_budget.quotas()
    asked = {service for services in api_budget.counted().values() for service in services}
    assert asked <= set(table) | set(table["unpublished"]), "put it into infra/api_quotas.yaml"


def test_the_counted_requests_are_of_a_whole_case() -> None:
    counted = api_budget.counted()
    assert {"member", "forensic", "security"} <= set(counted)
    assert counted["member"]["ec2"]["CreateSnapshots"] >= 1 and counted["forensic"]["ec2"]["RunInstances"] >= 1
    assert json.dumps(counted, indent=1, sort_keys=True) + "\n" == api_budget.REQUESTS.read_text("utf-8")


def test_the_page_has_the_longest_delays_of_a_storm() -> None:
    late = sorted((u for u in uses(100) if (u.delay or 0) >= 10), key=lambda u: -(u.delay or 0))
    for use in late[:5]:
        assert f"`{use.service}:{use.action}`" in PAGE, use
