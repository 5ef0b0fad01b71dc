"""Airflow 3.2.1 → 3.3.1 by docs/upgrade.md: what of its steps can be held without MWAA. What MWAA itself does is in its user guide alone."""

from __future__ import annotations

import botocore.session
import pytest

from infra.deployment import changes, configuration, package, plan, templates
from tests.templates.test_plan import EXAMPLE, changed

OLD, NEW = package.AIRFLOW_VERSIONS
SECTION = (templates.ROOT / "docs" / "upgrade.md").read_text("utf-8").partition("\n## A newer Airflow\n")[2]


def test_the_steps_name_the_versions_that_the_release_is_checked_on() -> None:
    allowed = templates.reading()["mwaa"]["Parameters"]["AirflowVersion"]["AllowedValues"]
    assert allowed == [OLD, NEW] and f"From {OLD} to {NEW}." in SECTION
    assert f"`parameters: {{AirflowVersion: {NEW}}}`" in SECTION
    steps = [int(line.partition(".")[0]) for line in SECTION.splitlines() if line[:2].rstrip(".").isdigit()]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= 6


def test_the_way_back_is_none_because_the_older_one_does_not_know_a_type_of_run() -> None:
    """The newer Airflow's own list of types (this environment has it); the older one's scheduler ended at one in the lab."""
    from airflow.utils.types import DagRunType

    types = {kind.value for kind in DagRunType}
    assert types - {"backfill", "scheduled", "manual", "asset_triggered", "asset_materialization"} == {
        "operator_triggered"
    }
    assert f"**Back to {OLD}** do not go in place" in SECTION and "`operator_triggered`" in SECTION


def test_the_environment_is_all_that_changes() -> None:
    """No other stack reads the version: what people see in --dry-run is one property of one resource."""
    config = configuration.read(EXAMPLE)
    before, after = (plan.steps(changed(config, AirflowVersion=version)) for version in (OLD, NEW))
    different = [(b, a) for b, a in zip(before, after, strict=True) if a != b]
    ((b, a),) = different
    assert b.template == a.template == "mwaa"
    assert {name for name in a.parameters if a.parameters[name] != b.parameters[name]} == {"AirflowVersion"}


def test_the_version_is_changed_in_place() -> None:
    """MWAA's UpdateEnvironment takes it (botocore's model), so CloudFormation does not replace the environment."""
    update = botocore.session.get_session().get_service_model("mwaa").operation_model("UpdateEnvironment")
    assert "AirflowVersion" in update.input_shape.members


@pytest.mark.parametrize(("replaced", "asked"), [("False", False), ("True", True)])
def test_an_environment_that_would_be_replaced_all_the_same_is_not_without_asking(replaced: str, asked: bool) -> None:
    target = {"Attribute": "Properties", "Name": "AirflowVersion", "BeforeValue": OLD, "AfterValue": NEW}
    change = {
        "Action": "Modify", "ResourceType": "AWS::MWAA::Environment", "LogicalResourceId": "Environment", "Replacement": replaced,
        "Details": [{"Target": target}],
    }  # fmt: skip
    assert bool(changes.losses([change])) is asked
    assert f"        Properties/AirflowVersion: {OLD} → {NEW}" in list(changes.lines([change]))
