"""The plans of docs/disaster.md: a second deployment in another Region, another security account. What changes, and what must not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from infra.deployment import checks, configuration, plan, rendering
from infra.deployment.configuration import Configuration
from tests.templates.test_plan import EXAMPLE, changed
from tests.templates.test_two_deployments import names

PAGE = (Path(plan.__file__).parents[2] / "docs" / "disaster.md").read_text("utf-8")
LISTS = {"S3PrefixListId": "pl-0000000000000001", "DynamoDbPrefixListId": "pl-0000000000000002"}


def example() -> Configuration:
    return configuration.read(EXAMPLE)


def moved() -> Configuration:
    """The steps of "The home Region"."""
    return replace(
        changed(example(), DeploymentId="blue", **LISTS),
        region="eu-west-1",
        settings={"target_accounts": "333344445555"},
    )


def test_another_home_region_is_a_deployment_of_its_own_over_the_same_members() -> None:
    before, after = example(), moved()
    checks.validate(after)
    assert {s.region for s in plan.steps(after) if s.account == "forensic"} == {
        "eu-west-1",
        "eu-central-1",
        "us-east-1",
    }
    # us-east-1: where IAM writes its events. Members keep the Regions that their instances are in
    places = [
        {(s.account_id, s.region) for s in plan.steps(c) if s.template == "member-region"} for c in (before, after)
    ]
    assert places[0] == places[1]
    assert not names(rendering.render(before)) & names(rendering.render(after))
    # disks of the lost Region's instances need an evidence key there, which the new home does not hold
    assert [s.region for s in plan.steps(after) if s.template == "regional-key"] == ["eu-central-1"]


def test_another_security_account_changes_what_points_at_it_and_no_member() -> None:
    before = example()
    after = changed(before, SecurityAccountId="999900001111")
    after = replace(after, accounts={**before.accounts, "security": "999900001111"})
    checks.validate(after)
    stacks = [
        {(s.step.stack, s.step.account_id, s.step.region): s for s in rendering.render(c)} for c in (before, after)
    ]
    new = {stack for stack, account, _ in stacks[1] if account == "999900001111"}
    assert new == {"forensics-security", "forensics-heartbeat"}
    differs = {
        key[0] for key in set(stacks[0]) & set(stacks[1]) if stacks[0][key].resources != stacks[1][key].resources
    }
    assert "forensics-mwaa" in differs and not any(stack.startswith("forensics-member") for stack in differs)
    options = stacks[1][("forensics-mwaa", "222233334444", "eu-central-1")].resources["Environment"].properties
    assert options["AirflowConfigurationOptions"]["forensics.administrator_accounts"] == "999900001111"


def test_every_loss_of_the_table_has_its_section() -> None:
    """The page names a way back for each row, with commands and DAGs that exist."""
    import re

    rows = re.findall(r"\[below\]\(#([a-z-]+)\) \|", PAGE)
    assert {"the-bus", "the-security-account", "the-home-region", "airflow", "findings", "the-case-store"} <= set(rows)
    for anchor in rows:
        assert f"\n## {anchor.replace('-', ' ')}\n" in PAGE.lower(), anchor
    dags = {file.stem for file in (Path(plan.__file__).parents[2] / "dags").glob("*.py")}
    assert {"finding_catchup", "case_watchdog", "ledger_restore"} <= dags & set(re.findall(r"`([a-z_]+)`", PAGE))
