"""Runs operators of the product against the lab without a scheduler: deferrals are played through inline."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time.context import OutletEventAccessors
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from forensics.aws import polling as base
from forensics.case.step import ForensicOperator

# Nothing books tasks here: an event may come at once.
base.RESUME_AFTER = 0.0


@dataclass
class TaskInstance:
    """What operators read of their task instance."""

    task_id: str
    try_number: int = 3
    max_tries: int = 2

    def xcom_push(self, key: str, value: object) -> None:
        """Nobody reads the task's links here."""

    def get_task_states(
        self, *, dag_id: str, run_ids: list[str], task_ids: list[str] | None = None
    ) -> dict[str, dict[str, str]]:
        """No task of the run was ended by Airflow: the steps are called by the test itself."""
        return {run_id: {} for run_id in run_ids}


@dataclass
class DagRun:
    """What operators read of their run."""

    run_id: str
    dag_id: str = "forensic_case"
    triggering_user_name: str | None = None
    run_after: datetime = field(default_factory=lambda: datetime.now(UTC))


async def fire(trigger: Any) -> TriggerEvent:
    """Run a trigger until its event."""
    async for event in trigger.run():
        return event
    raise AssertionError("the trigger ended without an event")


def perform(
    operator: BaseOperator,
    *,
    case_id: str | None = None,
    params: dict[str, Any] | None = None,
    run_id: str = "manual__test",
    user: str | None = None,
    try_number: int = 3,
) -> Any:
    """Execute an operator as its last try, following every deferral to the end; returns the task's result."""
    if isinstance(operator, ForensicOperator) and case_id:
        operator.case_id = case_id
    context = {
        "ti": TaskInstance(operator.task_id, try_number=try_number),
        "params": params or {},
        "dag_run": DagRun(run_id, triggering_user_name=user),
        "outlet_events": OutletEventAccessors(),
    }
    operator.render_template_fields(context)
    call, kwargs = operator.execute, {}
    while True:
        try:
            return call(context, **kwargs)
        except TaskDeferred as deferral:
            path, arguments = deferral.trigger.serialize()
            module, name = path.rsplit(".", 1)
            again = getattr(__import__(module, fromlist=[name]), name)(**arguments)
            event = asyncio.run(fire(again))
            if isinstance(event, TaskSuccessEvent):
                return (event.xcoms or {}).get("return_value")
            call = getattr(operator, deferral.method_name)
            kwargs = {**(deferral.kwargs or {}), "event": event.payload}
