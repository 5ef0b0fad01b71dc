"""Step that sees to open cases without a live run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.case.recorder import CaseRecorder, open_recorder
from forensics.intake.dag_run import RunState, run_state, task_states, trigger_run
from forensics.intake.lost_runs import WATCHDOG, CaseRuns, LostRuns
from forensics.intake.messages import RunOrder
from forensics.intake.write_back import FindingWriteBack


class ResumeCasesOperator(BaseOperator):
    """Start open cases again whose run has ended or was deleted, a few times each; tell people of each, and of runs that stand still.

    The step fails, and says so, when a case could not be seen to; the others were.

    :param target_dag_id: the DAG whose runs have the cases
    """

    def __init__(self, *, target_dag_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_dag_id = target_dag_id

    def execute(self, context: Context) -> list[str]:
        """Return a line for each case that had lost its run, or whose run was seen to stand still."""
        hook = ForensicsHook()

        def recorder(case_id: str) -> CaseRecorder:
            return open_recorder(hook, case_id, step=WATCHDOG)

        runs = CaseRuns(self.target_dag_id, state=self._state, start=_start, tasks=self._tasks)
        lost = LostRuns(
            CaseStore.of(hook.own(), hook.settings),
            runs,
            recorder=recorder,
            write_back=lambda case: FindingWriteBack.of(hook.for_case(case)),
            settings=hook.settings,
        )
        done, failed = lost.look(datetime.now(UTC))
        for line in done:
            self.log.warning("%s", line)
        if failed:
            msg = f"{len(failed)} open cases could not be seen to: {'; '.join(failed)[:2000]}"
            raise AirflowFailException(f"{msg}. What to do next: remove the cause; the next run tries again")
        return done

    def _state(self, run_id: str) -> RunState:
        return run_state(self.target_dag_id, run_id)

    def _tasks(self, run_id: str) -> dict[str, str | None]:
        return task_states(self.target_dag_id, run_id)


def _start(order: RunOrder) -> bool:
    return trigger_run(order.dag_id, run_id=order.run_id, conf=order.conf, note=order.note)
