"""The sensor that turns findings from the queue into cases and DAG runs."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, Context

from forensics.aws.hook import ForensicsHook
from forensics.aws.sqs import FindingQueue
from forensics.errors import ForensicsError
from forensics.intake.engine import IntakeEngine
from forensics.intake.finding_handler import FindingHandler, IntakeGateways
from forensics.intake.intake_log import IntakeLog
from forensics.intake.run_orders import TriggeredDags
from forensics.intake.triggers import QueueDepthTrigger
from forensics.models.finding import Severity

LINGER_SECONDS = 1.0
PROCESSING_SECONDS = 4 * 3600
WAIT_SECONDS = 3600
URGENT_RANK = Severity.HIGH.rank


class FindingQueueSensor(BaseSensorOperator):
    """Wait for findings without a worker slot; then open a case and start a DAG run for each.

    The wait only looks at the queue. A message is deleted only after its case exists in the case store *and* its DAG run
    exists, both under ids that follow from the finding: a kill at any point loses nothing and creates nothing twice. The
    most severe findings are processed first; routine ones (below HIGH) are started only while fewer than the setting
    ``routine_runs`` cases are active. What cannot be processed goes to the dead-letter queue with the reason.

    :param target_dag_id: the DAG to start for each case
    :param extension_dag_id: the DAG to start when a finding that joins a case may ask for more than the case's plan
    :param release_dag_id: the DAG to start when a person orders the release of a contained target by custom action
    """

    def __init__(
        self,
        *,
        target_dag_id: str = "forensic_case",
        extension_dag_id: str | None = None,
        release_dag_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target_dag_id = target_dag_id
        self.extension_dag_id = extension_dag_id
        self.release_dag_id = release_dag_id

    def execute(self, context: Context, event: dict[str, object] | None = None) -> dict[str, int]:
        """Drain the queue; when it is empty, defer until it is not. Returns how many findings or messages ended how."""
        hook = ForensicsHook()
        dags = TriggeredDags(self.target_dag_id, self.extension_dag_id, self.release_dag_id)
        gateways = IntakeGateways.of(hook.own(), hook.settings, session=hook.session, for_case=hook.for_case)
        engine = IntakeEngine(
            FindingQueue.of(hook.own(), hook.settings),
            FindingHandler(gateways, hook.settings, dags),
            urgent_rank=URGENT_RANK,
            visibility=hook.settings.finding_visibility_seconds,
        )
        began = time.monotonic()
        try:
            engine.run(seconds=PROCESSING_SECONDS, linger=LINGER_SECONDS if event else 0.0)
        finally:
            self._keep_counts(gateways.log, engine.counts)
        if not engine.counts and event is None:
            self._wait(hook.settings.queue_poll_seconds)
        self.log.info("findings processed in %.1f s: %s", time.monotonic() - began, dict(engine.counts))
        return dict(engine.counts)

    def _wait(self, poll: float) -> None:
        self.defer(
            trigger=QueueDepthTrigger(poll=poll, deadline=time.time() + WAIT_SECONDS),
            method_name="execute",
            timeout=timedelta(seconds=WAIT_SECONDS + 300),
        )

    def _keep_counts(self, intake_log: IntakeLog, counts: Counter[str]) -> None:
        try:
            intake_log.count(counts, at=datetime.now(UTC))
        except ForensicsError as error:
            # The counts are for the Intake page; the findings themselves are processed and recorded.
            self.log.warning("the day's counts lack %s: %s", dict(counts), error)
