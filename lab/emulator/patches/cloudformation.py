"""CloudFormation by lab.emulator.cloudformation: stacks and change sets that are made whole, or fail with the reason."""

from __future__ import annotations

import os
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import boto3
from botocore.config import Config
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult, EmptyResult

from infra.deployment.intrinsics import TemplateError
from lab.accounts import ROOT_SECRET, root_access_key
from lab.emulator.cloudformation.engine import Stack, StackFailed
from lab.emulator.patches.patching import replace


@dataclass
class ChangeSet:
    """A change set that waits for its execution."""

    name: str
    kind: str
    stack: Stack
    status: str = "CREATE_COMPLETE"
    reason: str = ""


_lock = threading.Lock()
_stacks: dict[tuple[str, str, str], Stack] = {}
_changes: dict[tuple[str, str, str, str], ChangeSet] = {}
# The lab makes stacks and never changes them: whoever changes a template starts a new lab.
NO_UPDATES = "the lab updates no stack in place: restart the lab server, its resources live in memory"


def forget() -> None:
    """Drop all stacks, for another lab in the same process."""
    with _lock:
        _stacks.clear()
        _changes.clear()


def _clients(account: str, region: str) -> Callable[[str], Any]:
    """Clients of the account's root towards this lab itself: what a deployment role is on AWS."""
    made: dict[str, Any] = {}
    session = boto3.session.Session(
        aws_access_key_id=root_access_key(account),
        aws_secret_access_key=ROOT_SECRET,
        region_name=region,
    )

    def client(service: str) -> Any:
        if service not in made:
            config = Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"})
            make: Any = session.client  # typed for names that are known when the types are checked
            made[service] = make(service, endpoint_url=os.environ["LAB_ENDPOINT"], config=config)
        return made[service]

    return client


def _key(response: Any) -> tuple[str, str, str]:
    name = response._get_param("StackName").split("/")[1] if ":stack/" in response._get_param("StackName") else None
    return response.current_account, response.region, name or response._get_param("StackName")


def _asked(response: Any) -> Stack:
    account, region, name = _key(response)
    text = response._get_param("TemplateBody")
    if not text:
        raise ValidationError(message="the lab takes templates in the call (TemplateBody), not by URL")
    given = {p["ParameterKey"]: p["ParameterValue"] for p in response._get_param("Parameters", [])}
    try:
        return Stack(name=name, account=account, region=region, text=text, parameters=given)
    except TemplateError as error:
        raise ValidationError(message=str(error)) from error


def _make(stack: Stack) -> None:
    try:
        stack.create(_clients(stack.account, stack.region))
    except (StackFailed, TemplateError) as error:
        stack.status, stack.reason = "ROLLBACK_COMPLETE", str(error)


def create_stack(self: Any) -> ActionResult:
    """CreateStack; returns when the stack is complete, or has failed."""
    key = _key(self)
    with _lock:
        if key in _stacks:
            raise ValidationError(message=f"Stack [{key[2]}] already exists")
        stack = _stacks[key] = _asked(self)
    _make(stack)
    return ActionResult({"StackId": stack.id})


def update_stack(_self: Any) -> ActionResult:
    """UpdateStack is refused."""
    raise ValidationError(message=NO_UPDATES)


def create_change_set(self: Any) -> ActionResult:
    """CreateChangeSet: a new stack waits for its execution; a stack that exists may only stay as it is."""
    key, name = _key(self), self._get_param("ChangeSetName")
    kind = self._get_param("ChangeSetType", "UPDATE")
    asked = _asked(self)
    with _lock:
        existing = _stacks.get(key)
        change = ChangeSet(name, kind, asked)
        if kind == "CREATE":
            if existing and existing.status != "REVIEW_IN_PROGRESS":
                raise ValidationError(message=f"Stack [{key[2]}] already exists and cannot be created again")
            _stacks[key] = asked
        elif existing is None:
            raise ValidationError(message=f"Stack [{key[2]}] does not exist")
        elif (existing.text, existing.names | {"AWS::StackId": ""}) == (asked.text, asked.names | {"AWS::StackId": ""}):
            change.status, change.reason = "FAILED", "The submitted information didn't contain changes."
        _changes[(*key, name)] = change
    return ActionResult(
        {"Id": f"arn:aws:cloudformation:{key[1]}:{key[0]}:changeSet/{name}/{uuid.uuid4()}", "StackId": asked.id}
    )


def _change(response: Any) -> ChangeSet:
    key = (*_key(response), response._get_param("ChangeSetName"))
    if key not in _changes:
        raise ValidationError(message=f"ChangeSet [{key[3]}] does not exist")
    return _changes[key]


def describe_change_set(self: Any) -> ActionResult:
    """DescribeChangeSet."""
    change = _change(self)
    changes = [
        {
            "Type": "Resource",
            "ResourceChange": {
                "Action": "Add" if change.kind == "CREATE" else "Modify",
                "LogicalResourceId": name,
                "ResourceType": change.stack.body["Resources"][name]["Type"],
            },
        }
        for name in (change.stack.wanted() if change.status != "FAILED" else [])
    ]
    return ActionResult(
        {
            "ChangeSetName": change.name,
            "StackName": change.stack.name,
            "StackId": change.stack.id,
            "Status": change.status,
            "StatusReason": change.reason,
            "ExecutionStatus": "UNAVAILABLE" if change.status == "FAILED" else "AVAILABLE",
            "Changes": changes,
        }
    )


def execute_change_set(self: Any) -> EmptyResult:
    """ExecuteChangeSet; returns when the stack is complete, or has failed."""
    change = _change(self)
    if change.kind != "CREATE":
        raise ValidationError(message=NO_UPDATES)
    _make(change.stack)
    return EmptyResult()


def delete_change_set(self: Any) -> EmptyResult:
    """DeleteChangeSet."""
    with _lock:
        _changes.pop((*_key(self), self._get_param("ChangeSetName")), None)
    return EmptyResult()


def delete_stack(self: Any) -> EmptyResult:
    """DeleteStack of a stack that was only reviewed; others live as long as the lab."""
    with _lock:
        found = _stacks.get(_key(self))
        if found and found.status != "REVIEW_IN_PROGRESS":
            raise ValidationError(message="the lab deletes no stack that was made: restart the lab server")
        _stacks.pop(_key(self), None)
    return EmptyResult()


def describe_stacks(self: Any) -> ActionResult:
    """DescribeStacks."""
    if self._get_param("StackName"):
        key = _key(self)
        if key not in _stacks:
            raise ValidationError(message=f"Stack with id {key[2]} does not exist")
        found = [_stacks[key]]
    else:
        found = [s for (a, r, _), s in _stacks.items() if (a, r) == (self.current_account, self.region)]
    return ActionResult({"Stacks": [_shown(stack) for stack in found]})


def _shown(stack: Stack) -> dict[str, Any]:
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "CreationTime": datetime.now(UTC),
        "Description": stack.body.get("Description", ""),
        "Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in stack.outputs.items()],
    }


def describe_stack_resources(self: Any) -> ActionResult:
    """DescribeStackResources; a resource that the lab does not have says so in its status reason."""
    stack = _stacks.get(_key(self))
    if stack is None:
        raise ValidationError(message=f"Stack with id {_key(self)[2]} does not exist")
    shown = [
        {
            "StackName": stack.name,
            "StackId": stack.id,
            "LogicalResourceId": r.logical_id,
            "PhysicalResourceId": r.made.physical_id,
            "ResourceType": r.type,
            "ResourceStatus": r.status,
            "ResourceStatusReason": r.reason,
            "Timestamp": datetime.now(UTC),
        }
        for r in stack.resources.values()
    ]
    return ActionResult({"StackResources": shown})


def describe_stack_events(self: Any) -> ActionResult:
    """DescribeStackEvents: the failure, when there is one."""
    stack = _stacks.get(_key(self))
    events = []
    if stack and stack.reason:
        events.append(
            {
                "StackId": stack.id, "EventId": str(uuid.uuid4()), "StackName": stack.name, "Timestamp": datetime.now(UTC),
                "LogicalResourceId": stack.reason.split(" ")[0], "ResourceStatus": "CREATE_FAILED",
                "ResourceStatusReason": stack.reason,
            }
        )  # fmt: skip
    return ActionResult({"StackEvents": events})


OPERATIONS = (
    create_stack, update_stack, create_change_set, describe_change_set, execute_change_set, delete_change_set, delete_stack,
    describe_stacks, describe_stack_resources, describe_stack_events,
)  # fmt: skip


def _instead(operation: Callable[..., Any], _original: object) -> Callable[..., Any]:
    return operation


def apply() -> None:
    """Install the patch."""
    # moto reshapes what its own models return; these operations return AWS's shapes
    kept = ("DescribeStackSetOutput",)
    replace(
        CloudFormationResponse,
        "RESPONSE_KEY_PATH_TO_TRANSFORMER",
        lambda original: {k: v for k, v in original.items() if k.startswith(kept)},
    )
    for operation in OPERATIONS:
        replace(CloudFormationResponse, operation.__name__, partial(_instead, operation))
