"""CloudFormation by its documented states: which call is taken in which state, what it becomes, what is refused and how.

Sources: CloudFormation user guide, "Stack status codes", "Continue rolling back an update", "Detect drift on an entire stack", "Delete a
stack"; API reference of RollbackStack, ContinueUpdateRollback, DeleteStack (RetainResources), CreateChangeSet. Each request is held against
botocore's model of the service. moto carries every operation out at once and has none of these states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import botocore.loaders
from botocore.exceptions import ClientError
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

MODEL = ServiceModel(botocore.loaders.Loader().load_service_model("cloudformation", "service-2"))
STATUSES: tuple[str, ...] = tuple(MODEL.shape_for("StackStatus").enum)
# What follows a state in progress, from one look to the next; None: the stack is gone.
NEXT: dict[str, str | None] = {
    "CREATE_IN_PROGRESS": "CREATE_COMPLETE",
    "ROLLBACK_IN_PROGRESS": "ROLLBACK_COMPLETE",
    "DELETE_IN_PROGRESS": None,
    "UPDATE_IN_PROGRESS": "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_IN_PROGRESS": "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_IN_PROGRESS": "IMPORT_ROLLBACK_COMPLETE",
}
UPDATABLE = {
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
}
DRIFTABLE = UPDATABLE | {"UPDATE_ROLLBACK_FAILED"}
LOOKS = {
    "describe_stacks",
    "describe_change_set",
    "describe_stack_events",
    "describe_stack_resource_drifts",
    "describe_stack_drift_detection_status",
}


def refused(operation: str, message: str) -> ClientError:
    """A ValidationError, as CloudFormation refuses what a state does not allow."""
    return ClientError({"Error": {"Code": "ValidationError", "Message": message}}, operation)


@dataclass
class Machine:
    """One stack; ``undeletable``: a resource that DeleteStack cannot delete, unless it is retained."""

    state: str | None
    undeletable: str | None = None
    drifted: tuple[dict[str, Any], ...] = ()
    changes: tuple[dict[str, Any], ...] = ()
    fails_with: str | None = None
    calls: list[str] = field(default_factory=list)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    draft: str = ""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__") or f"_{name}" not in type(self).__dict__:
            raise AttributeError(name)

        def call(**request: Any) -> Any:
            shape = MODEL.operation_model("".join(part.capitalize() for part in name.split("_"))).input_shape
            report = ParamValidator().validate(request, shape)
            assert not report.has_errors(), report.generate_report()
            if name not in LOOKS:
                self.calls.append(name)
            self.requests.append((name, request))
            return getattr(self, f"_{name}")(**request)

        return call

    def get_paginator(self, operation: str) -> Any:
        """Pages of ListStackResources."""
        assert operation == "list_stack_resources"
        machine = self

        class Pages:
            def paginate(self, *, StackName: str) -> Iterator[dict[str, Any]]:
                stuck = (
                    [{"LogicalResourceId": machine.undeletable, "ResourceStatus": "DELETE_FAILED"}]
                    if machine.undeletable
                    else []
                )
                yield {
                    "StackResourceSummaries": [
                        {"LogicalResourceId": "Other", "ResourceStatus": "DELETE_COMPLETE"},
                        *stuck,
                    ]
                }

        return Pages()

    # ------------------------------------------------------------------ looks
    def _describe_stacks(self, *, StackName: str) -> dict[str, Any]:
        state = self.state
        if state in NEXT and state != "REVIEW_IN_PROGRESS":
            self.state = NEXT[state]
            if state == "DELETE_IN_PROGRESS" and self.undeletable:
                self.state = "DELETE_FAILED"
            if state == "CREATE_IN_PROGRESS" and self.fails_with:
                self.state = "ROLLBACK_IN_PROGRESS"
        if state is None:
            raise refused("DescribeStacks", f"Stack with id {StackName} does not exist")
        return {"Stacks": [{"StackStatus": state, "Outputs": [{"OutputKey": "Made", "OutputValue": "x"}]}]}

    def _describe_stack_events(self, *, StackName: str) -> dict[str, Any]:
        why = self.fails_with or "it is said here"
        event = {
            "ResourceStatus": "CREATE_FAILED",
            "Timestamp": datetime.now(UTC),
            "LogicalResourceId": "Thing",
            "ResourceStatusReason": why,
        }
        return {"StackEvents": [event]}

    def _describe_change_set(self, *, StackName: str, ChangeSetName: str, **more: Any) -> dict[str, Any]:
        items = [{"Type": "Resource", "ResourceChange": c} for c in self.changes]
        if not more.get("NextToken") and len(items) > 1:
            return {"Status": "CREATE_COMPLETE", "Changes": items[:1], "NextToken": "2"}
        return {"Status": "CREATE_COMPLETE", "Changes": items[1:] if more.get("NextToken") else items}

    # ------------------------------------------------------------------ changes
    def _create_change_set(self, *, StackName: str, ChangeSetType: str, **more: Any) -> None:
        possible = UPDATABLE if ChangeSetType == "UPDATE" else {None, "REVIEW_IN_PROGRESS", "DELETE_COMPLETE"}
        if self.state not in possible:
            raise refused("CreateChangeSet", f"Stack:{StackName} is in {self.state} state and can not be updated.")
        if ChangeSetType == "CREATE":
            self.state = "REVIEW_IN_PROGRESS"
        self.draft = ChangeSetType

    def _execute_change_set(self, *, StackName: str, ChangeSetName: str) -> None:
        assert self.draft, "there is no change set"
        self.state = f"{self.draft}_IN_PROGRESS"
        self.draft = ""

    def _delete_change_set(self, *, StackName: str, ChangeSetName: str) -> None:
        self.draft = ""

    def _delete_stack(self, *, StackName: str, RetainResources: list[str] | None = None) -> None:
        if (
            self.state is not None
            and self.state.endswith("_IN_PROGRESS")
            and self.state not in {"REVIEW_IN_PROGRESS", "CREATE_IN_PROGRESS"}
        ):
            raise refused("DeleteStack", f"Stack {StackName} cannot be deleted while in status {self.state}")
        if RetainResources:
            if self.state != "DELETE_FAILED":
                raise refused(
                    "DeleteStack",
                    "Invalid operation on stack. Specify resources to retain only on a stack in DELETE_FAILED",
                )
            assert self.undeletable in RetainResources
            self.undeletable = None
        self.state = None if self.state in {None, "REVIEW_IN_PROGRESS"} else "DELETE_IN_PROGRESS"

    def _continue_update_rollback(self, *, StackName: str) -> None:
        if self.state != "UPDATE_ROLLBACK_FAILED":
            raise refused(
                "ContinueUpdateRollback",
                f"Stack {StackName} is in {self.state} state and can not continue rolling back",
            )
        self.state = "UPDATE_ROLLBACK_IN_PROGRESS"

    def _rollback_stack(self, *, StackName: str) -> None:
        if self.state not in {"CREATE_FAILED", "UPDATE_FAILED"}:
            raise refused("RollbackStack", f"Stack {StackName} is in {self.state} state and can not be rolled back")
        self.state = "UPDATE_ROLLBACK_IN_PROGRESS" if self.state == "UPDATE_FAILED" else "ROLLBACK_IN_PROGRESS"

    # ------------------------------------------------------------------ drift
    def _detect_stack_drift(self, *, StackName: str) -> dict[str, str]:
        if self.state not in DRIFTABLE:
            raise refused("DetectStackDrift", f"Drift detection is not supported for stack {StackName} in {self.state}")
        return {"StackDriftDetectionId": "1" * 36}

    def _describe_stack_drift_detection_status(self, *, StackDriftDetectionId: str) -> dict[str, str]:
        return {"DetectionStatus": "DETECTION_COMPLETE"}

    def _describe_stack_resource_drifts(
        self, *, StackName: str, StackResourceDriftStatusFilters: list[str]
    ) -> dict[str, Any]:
        return {"StackResourceDrifts": list(self.drifted)}
