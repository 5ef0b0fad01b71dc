"""What is done with a deployment that is there: its state, its drift from the templates, taking it away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from infra.deployment.operations import Ask, DeployError, Stack
from infra.deployment.plan import Step
from infra.deployment.stack_states import readiness
from infra.deployment.stacks import Clients

Report = Callable[[str], None]
CASE_STORE = "case-store"


def _stacks(steps: Sequence[Step], clients: Clients, *, report: Report, ask: Ask, poll_seconds: float) -> list[Stack]:
    return [
        Stack(clients(s.account_id, s.region, "cloudformation"), s, report, ask=ask, poll_seconds=poll_seconds)
        for s in steps
        if not s.is_upload
    ]


def status(steps: Sequence[Step], clients: Clients, *, report: Report) -> list[dict[str, str]]:
    """The state of each stack, and what it means for a deployment. Nothing is changed."""
    found = []
    for stack in _stacks(steps, clients, report=report, ask=lambda _: False, poll_seconds=1.0):
        state = stack.status()
        step = stack.step
        found.append(
            {
                "stack": step.stack, "account": step.account_id, "region": step.region, "state": state or "not there",
                "means": readiness(state).value,
            }
        )  # fmt: skip
        report(f"{stack.where}: {state or 'not there'} ({readiness(state).value})")
    return found


def drift(steps: Sequence[Step], clients: Clients, *, report: Report, poll_seconds: float = 1.0) -> int:
    """Compare every stack with its template; how many differ, or could not be compared. Nothing is changed."""
    different = 0
    for stack in _stacks(steps, clients, report=report, ask=lambda _: False, poll_seconds=poll_seconds):
        try:
            lines = stack.drift()
        except ClientError as error:
            raise stack.failed(str(error), "compared") from error
        different += lines is None or bool(lines)
        if lines is not None:
            report(f"{stack.where}: {'differs from its template' if lines else 'as its template says'}")
            for line in lines:
                report(line)
    return different


def case_table(steps: Sequence[Step], clients: Clients) -> tuple[Step, str] | None:
    """The step of the case store and its table's name; None when it is not there."""
    step = next((s for s in steps if s.template == CASE_STORE), None)
    if step is None:
        return None
    stack = Stack(clients(step.account_id, step.region, "cloudformation"), step, report=lambda _: None)
    outputs = (stack.described() or {}).get("Outputs", [])
    table = next((str(o["OutputValue"]) for o in outputs if o["OutputKey"] == "CaseTable"), None)
    return (step, table) if table else None


def open_cases(steps: Sequence[Step], clients: Clients) -> int | None:
    """How many cases are open; None when there is no table. Raises :class:`DeployError` when that cannot be seen."""
    known = case_table(steps, clients)
    if known is None:
        return None
    step, table = known
    client: Any = clients(step.account_id, step.region, "dynamodb")
    try:
        pages = client.get_paginator("query").paginate(
            TableName=table, IndexName="GSI2", KeyConditionExpression="GSI2PK = :p", ExpressionAttributeValues={":p": {"S": "STATUS#OPEN"}},
            Select="COUNT",
        )  # fmt: skip
        return sum(int(page["Count"]) for page in pages)
    except (ClientError, BotoCoreError) as error:
        msg = f"whether cases are open cannot be seen in table {table}: {error}. Give the profile dynamodb:Query on it, or close the cases first and answer yes (--yes)"
        raise DeployError(msg) from error


def uninstall(steps: Sequence[Step], clients: Clients, *, report: Report, ask: Ask, poll_seconds: float = 1.0) -> None:
    """Delete the stacks in the opposite order of the plan; what holds evidence stays (docs/deployment.md, "Removal").

    Raises :class:`DeployError` before anything is deleted when a case is open or nobody agrees, and at the first stack that
    cannot be deleted; it continues from there when it is run again.
    """
    try:
        left = open_cases(steps, clients)
    except DeployError as error:
        if not ask(f"{error}. Delete the deployment all the same?"):
            raise
        left = None
    if left:
        msg = f"{left} cases are open: close or release them first (docs/deployment.md, Removal). Nothing was deleted"
        raise DeployError(msg)
    there = [
        s for s in _stacks(steps, clients, report=report, ask=ask, poll_seconds=poll_seconds) if s.status() is not None
    ]
    if not there:
        report("no stack of this configuration is there")
        return
    accounts = sorted({s.step.account_id for s in there})
    if not ask(
        f"Delete {len(there)} stacks in {len(accounts)} accounts ({', '.join(accounts)})? Buckets, keys and tables with evidence stay"
    ):
        msg = "nothing was deleted: answer yes (--yes)"
        raise DeployError(msg)
    for stack in reversed(there):
        stack.delete()
    report(
        "What stays: buckets, keys, table, queues (DeletionPolicy). `python -m infra.deployment.removal` says until when they are locked."
    )
