"""Waiting for a step of a case's own run, from another run."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook

ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class CaseStepSensor(BaseSensorOperator):
    """Wait until a step of the case's run has ended; skip unless the step has left the extended plan undone.

    A step that has not started yet reads the extended plan when it starts and carries it out: then this task is skipped,
    and what follows it too. Waiting frees the worker slot (``mode="reschedule"``).

    :param case_id: the case
    :param step: task id in ``forensic_case``
    """

    template_fields = ("case_id",)

    def __init__(self, *, case_id: str, step: str, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", **kwargs)
        self.case_id = case_id
        self.step = step

    def poke(self, context: Context) -> bool:
        """Whether the step has ended without success; raises ``AirflowSkipException`` when it succeeded."""
        hook = ForensicsHook()
        run_id = CaseStore.of(hook.own(), hook.settings).case(self.case_id).run_id or self.case_id
        states = context["ti"].get_task_states(dag_id="forensic_case", run_ids=[run_id], task_ids=[self.step])
        state = states.get(run_id, {}).get(self.step)
        self.log.info("%s of run %s: %s", self.step, run_id, state or "not started")
        if state == "success":
            msg = f"{self.step} of run {run_id} has carried out the extended plan"
            raise AirflowSkipException(msg)
        return state in ENDED
