"""The pipeline's pulse: one short wait that goes through scheduler, worker, triggerer and back, and a look at runs that do not start.

Airflow's triggerer can live and do nothing: its heartbeat goes on, no wait comes back (apache/airflow#65945), and every wait of a case is
one of its. A heartbeat cannot show that; a wait that has come back can. The lines that this task logs are what alarms count
(infra/cloudformation/airflow-alarms.yaml): the absence of ``ANSWERED`` and the presence of ``WAITING``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.sdk import BaseOperator, Context

from forensics.intake.dag_run import queued_runs

ANSWERED: Final = "TriggererAnswered"
WAITING: Final = "RunsWaitToStart"


class PulseOperator(BaseOperator):
    """Count runs that have not started, wait in the triggerer, and say when the wait came back.

    :param watched: DAGs whose runs have to start at once
    :param wait_seconds: length of the wait
    :param patience_seconds: after this the wait counts as lost and the task fails; no line is logged then
    """

    def __init__(
        self, *, watched: Sequence[str], wait_seconds: float = 15.0, patience_seconds: float = 240.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.watched = tuple(watched)
        self.wait_seconds, self.patience_seconds = wait_seconds, patience_seconds

    def execute(self, context: Context) -> None:
        """Log ``WAITING`` when runs wait, then defer."""
        counted = {dag_id: queued_runs(dag_id) for dag_id in self.watched}
        if late := {dag_id: number for dag_id, number in counted.items() if number}:
            self.log.warning("%s: %s", WAITING, ", ".join(f"{dag_id} {number}" for dag_id, number in late.items()))
        due = datetime.now(UTC) + timedelta(seconds=self.wait_seconds)
        self.defer(
            trigger=DateTimeTrigger(moment=due),
            method_name="answered",
            kwargs={"due": due.timestamp()},
            timeout=timedelta(seconds=self.patience_seconds),
        )

    def answered(self, context: Context, event: object, due: float) -> dict[str, float]:
        """Log ``ANSWERED``; the result is by how many seconds the task came back late."""
        late = max(0.0, datetime.now(UTC).timestamp() - due)
        self.log.info("%s: the wait came back %.1f s after its time", ANSWERED, late)
        return {"late_seconds": round(late, 1)}
