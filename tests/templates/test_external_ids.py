"""The external id is rotated in two deployments, between which the roles accept both; an interrupted rotation goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from moto import mock_aws

from infra.deployment import configuration, external_ids, plan, templates
from infra.deployment.operations import DeployError

EXAMPLE = templates.ROOT / "infra" / "deployment.example.yaml"


@pytest.fixture
def secrets() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client(
            "secretsmanager", region_name="eu-central-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )


def silent(_line: str) -> None:
    """Nobody listens."""


def test_it_is_made_once_and_never_chosen(secrets: Any) -> None:
    first = external_ids.current(secrets)
    assert first == external_ids.current(secrets)
    assert len(first["ExternalId"]) == external_ids.LENGTH and first["ExternalIdBefore"] == ""
    # the day of the value, for the alarm on its age
    assert datetime.now(UTC) - datetime.fromisoformat(first["ExternalIdSince"]).replace(tzinfo=UTC) < timedelta(days=2)
    assert set(external_ids.UNKNOWN) == set(first)


def test_while_it_is_rotated_every_deployment_accepts_both_and_then_the_new_one_alone(secrets: Any) -> None:
    old = external_ids.current(secrets)["ExternalId"]
    external_ids.rotate(secrets, report=silent)
    both = external_ids.current(secrets)
    assert both["ExternalIdBefore"] == old and both["ExternalId"] != old
    external_ids.rotate(secrets, report=silent)
    assert external_ids.current(secrets) == both, "a second call goes on with the rotation that has begun"
    external_ids.end(secrets, report=silent)
    assert external_ids.current(secrets) == {**both, "ExternalIdBefore": ""}
    external_ids.rotate(secrets, report=silent)
    assert external_ids.current(secrets)["ExternalIdBefore"] == both["ExternalId"], "and it can be rotated again"


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_rotation_that_was_interrupted_refuses_nobody_and_goes_on(
    secrets: Any, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    old = external_ids.current(secrets)["ExternalId"]
    move, calls = secrets.update_secret_version_stage, list[str]()

    def interrupted(**asked: Any) -> Any:
        calls.append(asked["VersionStage"])
        if len(calls) == at:
            raise KeyboardInterrupt
        return move(**asked)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(secrets, "update_secret_version_stage", interrupted)
        external_ids.rotate(secrets, report=silent)
    assert old in external_ids.current(secrets).values()
    external_ids.rotate(secrets, report=silent)
    assert external_ids.current(secrets)["ExternalIdBefore"] == old != external_ids.current(secrets)["ExternalId"]


def test_what_cannot_be_rotated_or_ended_says_why(secrets: Any) -> None:
    with pytest.raises(DeployError, match="there is no secret forensics/external-id to rotate: deploy first"):
        external_ids.rotate(secrets, report=silent)
    external_ids.current(secrets)
    with pytest.raises(DeployError, match="is not being rotated"):
        external_ids.end(secrets, report=silent)


def _asked(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "sts:ExternalId" and value != {"Ref": "AWS::AccountId"}:
                yield value
            yield from _asked(value)
    elif isinstance(node, list):
        for value in node:
            yield from _asked(value)


def test_every_role_that_asks_for_it_takes_both_while_it_is_rotated_and_no_empty_one() -> None:
    both = [{"Ref": "ExternalId"}, {"Fn::If": ["Rotating", {"Ref": "ExternalIdBefore"}, {"Ref": "AWS::NoValue"}]}]
    found = [(name, value) for name, body in templates.committed().items() for value in _asked(body)]
    assert len(found) >= 10
    assert [name for name, value in found if value != both] == []
    for name in {name for name, _ in found}:
        body = templates.committed()[name]
        assert body["Conditions"]["Rotating"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ExternalIdBefore"}, ""]}]}
        assert body["Parameters"]["ExternalIdBefore"]["NoEcho"] is True


def test_every_role_accepts_the_new_id_before_airflow_uses_it() -> None:
    """Whatever asks for the external id is deployed before the environment that sends it, StackSets included."""
    steps = [s.template for s in plan.steps(configuration.read(EXAMPLE))]
    asks = {
        n
        for n, body in templates.committed().items()
        if list(_asked(body)) or "ExternalIdBefore" in body.get("Parameters", {})
    }
    assert "mwaa" not in asks
    assert max(steps.index(n) for n in asks if n in steps) < steps.index("mwaa")
    listed = [e["template"] for e in plan.entries() if "template" in e]
    assert listed.index("member-stackset") < listed.index("mwaa")
    passed = json.dumps(templates.committed()["member-stackset"]).count('"ParameterKey": "ExternalIdBefore"')
    assert passed == 2
