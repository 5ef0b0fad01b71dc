"""A deployment that was interrupted or failed continues: CloudFormation's states, and what is uploaded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from infra.deployment import deploy
from infra.deployment.plan import Step
from infra.deployment.stack_states import STATES, Readiness
from infra.deployment.stacks import DeployError, Deployment

STEP = Step(
    account="forensic", account_id="222233334444", region="eu-central-1", stack="forensics-keys", template="keys"
)


def test_every_state_of_cloudformation_is_in_the_table() -> None:
    """botocore's model of DescribeStacks has every StackStatus that the service can answer."""
    model = botocore.loaders.Loader().load_service_model("cloudformation", "service-2")
    assert set(model["shapes"]["StackStatus"]["enum"]) == set(STATES)


def test_a_state_in_progress_is_waited_for_and_no_other_one() -> None:
    for state, readiness in STATES.items():
        waits = state.endswith("_IN_PROGRESS") and state != "REVIEW_IN_PROGRESS"
        assert (readiness is Readiness.WAIT) is waits, state


class CloudFormation:
    """One stack by the documented rules (user guide, "Stack status codes" and "Continue rolling back an update"):

    a stack in ROLLBACK_COMPLETE can only be deleted; one in UPDATE_ROLLBACK_FAILED only continued; none is changed
    while something is in progress. moto carries every operation out at once, so it has none of these states.
    """

    def __init__(self, *states: str | None, refuses: int = 0) -> None:
        self.states = list(states) or [None]
        self.refuses = refuses
        self.calls: list[str] = []

    @property
    def state(self) -> str | None:
        return self.states[0]

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if state is None:
            raise _refused("DescribeStacks", f"Stack with id {StackName} does not exist")
        return {"Stacks": [{"StackStatus": state, "Outputs": []}]}

    def create_change_set(self, *, ChangeSetType: str, StackName: str, **_: Any) -> None:
        possible = {
            "CREATE": {None, "REVIEW_IN_PROGRESS"},
            "UPDATE": {"CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"},
        }
        if self.state not in possible[ChangeSetType]:
            raise _refused("CreateChangeSet", f"Stack {StackName} is in {self.state} state and can not be updated.")
        self.calls.append(ChangeSetType)

    def describe_change_set(self, **_: Any) -> dict[str, Any]:
        return {"Status": "CREATE_COMPLETE", "Changes": []}

    def execute_change_set(self, **_: Any) -> None:
        if self.refuses:
            self.refuses -= 1
            self.states = ["CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"]
        else:
            self.states = ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"]

    def delete_stack(self, *, StackName: str) -> None:
        self.calls.append("delete")
        self.states = ["DELETE_IN_PROGRESS", None]

    def continue_update_rollback(self, *, StackName: str) -> None:
        assert self.state == "UPDATE_ROLLBACK_FAILED"
        self.calls.append("continue")
        self.states = ["UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"]

    def describe_stack_events(self, **_: Any) -> dict[str, Any]:
        event = {
            "ResourceStatus": "CREATE_FAILED",
            "Timestamp": datetime.now(UTC),
            "LogicalResourceId": "EvidenceAlias",
        }
        return {"StackEvents": [{**event, "ResourceStatusReason": "not authorized to perform: kms:CreateAlias"}]}


def _refused(operation: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": "ValidationError", "Message": message}}, operation)


def deployment(stack: CloudFormation) -> Deployment:
    def client(*_: str) -> Any:
        return stack

    return Deployment(client, made={}, report=lambda _: None, poll_seconds=0.0, ask=lambda _: True)


def test_a_creation_that_failed_is_repeated_by_running_the_deployment_again() -> None:
    stack = CloudFormation(refuses=1)
    with pytest.raises(
        DeployError, match=r"ROLLBACK_COMPLETE: EvidenceAlias: not authorized.*run the deployment again"
    ):
        deployment(stack).apply(STEP)
    deployment(stack).apply(STEP)
    assert stack.calls == ["CREATE", "delete", "CREATE"] and stack.state == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("states", "calls"),
    [
        (("CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"), ["UPDATE"]),
        (("CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE"), ["delete", "CREATE"]),
        (("UPDATE_ROLLBACK_FAILED",), ["continue", "UPDATE"]),
        (("DELETE_IN_PROGRESS", None), ["CREATE"]),
        (("REVIEW_IN_PROGRESS",), ["CREATE"]),
    ],
    ids=["interrupted", "interrupted, then failed", "roll back stopped", "being deleted", "never executed"],
)
def test_what_an_earlier_run_left_is_brought_to_an_end(states: tuple[str | None, ...], calls: list[str]) -> None:
    stack = CloudFormation(*states)
    deployment(stack).apply(STEP)
    assert stack.calls == calls


def test_a_stack_that_cannot_be_deleted_is_left_to_a_person() -> None:
    with pytest.raises(DeployError, match=r"DELETE_FAILED: a person has to look"):
        deployment(CloudFormation("DELETE_FAILED")).apply(STEP)


def test_a_dry_run_deletes_and_continues_nothing() -> None:
    for state in ("ROLLBACK_COMPLETE", "UPDATE_ROLLBACK_FAILED"):
        stack = CloudFormation(state)
        with pytest.raises(DeployError, match="A dry run changes nothing"):
            deployment(stack).apply(STEP, dry_run=True)
        assert stack.calls == []


@pytest.fixture
def s3() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        client.create_bucket(Bucket="release")
        client.put_bucket_versioning(Bucket="release", VersioningConfiguration={"Status": "Enabled"})
        yield client


def test_a_release_that_is_there_is_not_uploaded_again(s3: Any, tmp_path: Path) -> None:
    for name in ("plugins.zip", "requirements.txt", "cloudformation/keys.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    where = {"bucket": "release", "prefix": "releases/1", "folder": tmp_path}
    first = deploy.upload(s3, **where)
    assert deploy.upload(s3, **where) == first, "MWAA is pinned to the same versions: it does not restart"
    assert len(s3.list_object_versions(Bucket="release")["Versions"]) == 3
    (tmp_path / "plugins.zip").write_text("changed")
    changed = deploy.upload(s3, **where)
    assert changed["PluginsVersion"] != first["PluginsVersion"]
    assert changed["RequirementsVersion"] == first["RequirementsVersion"]


class Environment(CloudFormation):
    """The stack of the environment: it names the address of its UI once it is there."""

    def __init__(self, *states: str | None) -> None:
        super().__init__(*states)
        self.texts: list[str] = []

    def describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        found = super().describe_stacks(StackName=StackName)
        if str(found["Stacks"][0]["StackStatus"]).endswith("_COMPLETE"):
            found["Stacks"][0]["Outputs"] = [{"OutputKey": "UiUrl", "OutputValue": "https://abc.example"}]
        return found

    def create_change_set(self, *, ChangeSetType: str, StackName: str, **more: Any) -> None:
        super().create_change_set(ChangeSetType=ChangeSetType, StackName=StackName)
        self.texts.append(more["TemplateBody"])


@pytest.mark.parametrize(
    ("state", "settings", "calls", "told"),
    [
        (None, {}, ["CREATE", "UPDATE"], [False, True]),
        ("UPDATE_COMPLETE", {}, ["UPDATE"], [True]),
        (None, {"ui_url": "https://mine.example"}, ["CREATE"], [False]),
    ],
    ids=["new", "known", "given"],
)
def test_the_environment_knows_the_address_of_its_own_ui(
    state: str | None, settings: dict[str, str], calls: list[str], told: list[bool]
) -> None:
    """Without it no message has a link: only AWS names the address, and only of an environment that is there."""
    stack = Environment(state)
    made = deployment(stack)
    made.settings = dict(settings)
    step = replace(STEP, stack="forensics-mwaa", template="mwaa")
    assert made.apply_environment(step) == {"UiUrl": "https://abc.example"}
    assert stack.calls == calls
    assert ['forensics.ui_url: "https://abc.example"' in text for text in stack.texts] == told
    assert all(('"https://mine.example"' in text) is bool(settings) for text in stack.texts)
