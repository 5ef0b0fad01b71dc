"""One stack of the plan in CloudFormation: its state, waiting for it, bringing it to rest, deleting it, comparing it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from infra.deployment.plan import Step
from infra.deployment.stack_states import COMPARABLE, Readiness, readiness

# A question that only a person answers; True: do it.
Ask = Callable[[str], bool]
STACK_SECONDS = 3600
# delete after a failed creation, or continue a roll back, each with a wait before and after
REPAIRS = 5


class DeployError(RuntimeError):
    """A stack could not be deployed; the message names stack, account, cause and what to do next."""


def nobody(question: str) -> bool:
    """The answer where nobody can be asked."""
    return False


@dataclass(frozen=True)
class Stack:
    """A stack and how to talk to it.

    :param report: gets a line for each thing that is done or waited for
    :param ask: asked before anything is deleted that may hold what somebody wants
    """

    client: Any
    step: Step
    report: Callable[[str], None]
    ask: Ask = nobody
    poll_seconds: float = 1.0

    @property
    def where(self) -> str:
        """Stack, account and Region, for messages."""
        step = self.step
        return f"{step.stack} in {step.account} account {step.account_id}, {step.region}"

    def failed(self, cause: str, what: str = "deployed") -> DeployError:
        """The error that stops a command at this stack."""
        if what != "deployed":
            return DeployError(f"{self.where} could not be {what}: {cause}")
        return DeployError(
            f"{self.where} could not be deployed: {cause}. Nothing of later stacks was done; fix the cause and "
            "run the deployment again: it continues from here."
        )

    def described(self) -> dict[str, Any] | None:
        """What DescribeStacks says; None when there is no such stack."""
        try:
            (found,) = self.client.describe_stacks(StackName=self.step.stack)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise self.failed(str(error)) from error
        return dict(found)

    def status(self) -> str | None:
        """The state; None when there is no such stack."""
        found = self.described()
        return None if found is None else str(found["StackStatus"])

    def rest(self) -> str | None:
        """Wait until nothing is in progress; the state then."""
        for _ in range(STACK_SECONDS):
            status = self.status()
            if readiness(status) is not Readiness.WAIT:
                return status
            time.sleep(self.poll_seconds)
        raise self.failed(f"it is still in progress after {STACK_SECONDS} looks")

    # ------------------------------------------------------------------ deploying
    def kind(self, *, dry_run: bool) -> str:
        """CREATE or UPDATE, after what an earlier run left half done has been brought to an end."""
        for _ in range(REPAIRS):
            status = self.status()
            ready = readiness(status)
            if ready in {Readiness.CREATE, Readiness.UPDATE}:
                return ready.name
            said = f"{self.where} is in state {status}: {ready.value}"
            if dry_run and ready is not Readiness.WAIT:
                raise self.failed(f"{said}. A dry run changes nothing: deploy without --dry-run")
            if ready is Readiness.STUCK:
                raise self.failed(f"{said}. {self._way_out(status)}")
            self.report(said)
            self._repair(ready, status)
            self.rest()
        raise self.failed("it does not come to rest; look at its events in CloudFormation")

    def _repair(self, ready: Readiness, status: str | None) -> None:
        name = self.step.stack
        if ready is Readiness.REMOVE:
            question = (
                f"{self.where} is what is left of a creation that failed ({status}: {self.first_failure()}). Delete it and create it"
                " again? What the failed creation made is deleted with it"
            )
            if not self.ask(question):
                raise self.failed(
                    f"{status}; nothing was deleted: answer yes (--yes), or delete the stack in CloudFormation"
                )
            self.client.delete_stack(StackName=name)
        elif ready is Readiness.CONTINUE_ROLLBACK:
            self.client.continue_update_rollback(StackName=name)
        elif ready is Readiness.ROLL_BACK:
            self.client.rollback_stack(StackName=name)

    @staticmethod
    def _way_out(status: str | None) -> str:
        if status == "DELETE_FAILED":
            return "Run this with --uninstall: it deletes the rest of the stack, or says what holds it"
        return "Its events in CloudFormation say what failed; delete the stack with its resources retained, then deploy with --import-existing"

    def done(self) -> None:
        """Wait for the end of a creation or an update; raises unless it ended well."""
        for _ in range(STACK_SECONDS):
            status = self.status()
            if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"):
                return
            if status is None or not status.endswith("_IN_PROGRESS"):
                raise self.failed(f"{status}: {self.first_failure()}")
            time.sleep(self.poll_seconds)
        raise self.failed("it is still in progress after an hour")

    def first_failure(self) -> str:
        """The first resource that failed in the newest events, and why."""
        events = self.client.describe_stack_events(StackName=self.step.stack)["StackEvents"]
        failed = [e for e in events if str(e.get("ResourceStatus", "")).endswith("_FAILED")]
        if not failed:
            return "CloudFormation names no resource"
        first = min(failed, key=lambda e: e["Timestamp"])
        why = str(first.get("ResourceStatusReason", "no reason given"))
        hint = (
            " (if an earlier deployment left it: --import-existing takes it into the stack)"
            if "already exists" in why
            else ""
        )
        return f"{first['LogicalResourceId']}: {why}{hint}"

    # ------------------------------------------------------------------ deleting
    def delete(self) -> None:
        """Delete the stack; what its template retains stays. A second deletion may leave behind what could not be deleted, if a
        person says so. Raises :class:`DeployError`."""
        status = self.rest()
        if status is None or status == "DELETE_COMPLETE":
            self.report(f"{self.where}: not there")
            return
        kept: list[str] = []
        if status == "DELETE_FAILED":
            stuck = [r["LogicalResourceId"] for r in self._resources() if r["ResourceStatus"] == "DELETE_FAILED"]
            if stuck and self.ask(
                f"{self.where}: {', '.join(stuck)} could not be deleted ({self.first_failure()}). Leave them behind?"
            ):
                kept = stuck
        try:
            self.client.delete_stack(StackName=self.step.stack, **({"RetainResources": kept} if kept else {}))
        except ClientError as error:
            raise self.failed(str(error), "deleted") from error
        status = self.rest()
        if status is not None and status != "DELETE_COMPLETE":
            raise self.failed(
                f"{status}: {self.first_failure()}. Later stacks are still there; remove the cause and run this again: it continues from here",
                "deleted",
            )
        self.report(f"{self.where}: deleted" + (f", left behind: {', '.join(kept)}" if kept else ""))

    def _resources(self) -> Iterator[dict[str, Any]]:
        pages = self.client.get_paginator("list_stack_resources").paginate(StackName=self.step.stack)
        yield from (r for page in pages for r in page["StackResourceSummaries"])

    # ------------------------------------------------------------------ comparing
    def drift(self) -> list[str] | None:
        """What differs from the template, a line each; None when the stack cannot be compared, which is reported."""
        status = self.rest()
        if status not in COMPARABLE:
            self.report(f"{self.where}: not compared, {f'it is in state {status}' if status else 'it is not there'}")
            return None
        begun = self.client.detect_stack_drift(StackName=self.step.stack)["StackDriftDetectionId"]
        for _ in range(STACK_SECONDS):
            found = self.client.describe_stack_drift_detection_status(StackDriftDetectionId=begun)
            if found["DetectionStatus"] != "DETECTION_IN_PROGRESS":
                break
            time.sleep(self.poll_seconds)
        else:
            raise self.failed("its comparison has not ended after an hour", "compared")
        lines = [line for item in self._drifts() for line in _drift(item)]
        if found["DetectionStatus"] == "DETECTION_FAILED":
            lines.append(
                f"    not all was compared: {found.get('DetectionStatusReason', 'CloudFormation does not say why')}"
            )
        return lines

    def _drifts(self) -> Iterator[dict[str, Any]]:
        request = {"StackName": self.step.stack, "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"]}
        while True:
            page = self.client.describe_stack_resource_drifts(**request)
            yield from page["StackResourceDrifts"]
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]


def _drift(item: dict[str, Any]) -> Iterator[str]:
    yield f"    {item['StackResourceDriftStatus'].lower():8} {item['ResourceType']} {item['LogicalResourceId']} ({item.get('PhysicalResourceId', '')})"
    for change in item.get("PropertyDifferences", []):
        yield f"        {change['PropertyPath']}: {change['ExpectedValue']} in the template, {change['ActualValue']} now"
