"""The door: findings from the queue become cases and DAG runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator

from forensics.aws.messages import FindingQueue
from forensics.correlation import case_context
from forensics.errors import ForensicsError
from forensics.hooks.dag_run import trigger_run
from forensics.hooks.session import ForensicsHook
from forensics.ingest import read_event
from forensics.models.case import TimelineKind
from forensics.models.finding import Finding, Verdict
from forensics.operators.case import case_from
from forensics.settings import names
from forensics.triggers.aws import QueueDepthTrigger

VISIBILITY_SECONDS = 120
LINGER_SECONDS = 1.0
WORK_SECONDS = 600
WAIT_SECONDS = 3600


class FindingQueueSensor(BaseSensorOperator):
    """Wait for findings without a worker slot; then open a case and start a DAG run for each.

    The wait only looks at the queue's depth and receives nothing. A message is deleted only after its case exists in the
    case store *and* its DAG run exists, both under ids that follow from the finding: a kill at any point loses nothing
    and doubles nothing. What cannot be worked goes to the dead-letter queue with the reason.

    :param target_dag_id: the DAG to start for each case
    """

    def __init__(self, *, target_dag_id: str = "forensic_case", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.target_dag_id = target_dag_id

    def execute(self, context: Any, event: dict[str, Any] | None = None) -> Any:
        """Drain the queue; when it is empty, defer until it is not."""
        hook = ForensicsHook()
        queue = hook.queue()
        counts = {"opened": 0, "exists": 0, "joined": 0, "ignored": 0, "quarantined": 0, "failed": 0}
        end, idle = time.monotonic() + WORK_SECONDS, time.monotonic()
        while time.monotonic() < end:
            messages = queue.receive(visibility=VISIBILITY_SECONDS)
            if not messages:
                if time.monotonic() - idle > (LINGER_SECONDS if event else 0):
                    break
                time.sleep(0.1)
                continue
            idle = time.monotonic()
            for message in messages:
                self._work(hook, queue, message, counts)
        if any(counts.values()):
            self.log.info("findings worked: %s", counts)
            return counts
        if event is not None:
            return counts
        self.defer(
            trigger=QueueDepthTrigger(poll=hook.settings.queue_poll_seconds, deadline=time.time() + WAIT_SECONDS),
            method_name="execute",
            timeout=timedelta(seconds=WAIT_SECONDS + 300),
        )
        return None

    def _work(self, hook: ForensicsHook, queue: FindingQueue, message: dict[str, Any], counts: dict[str, int]) -> None:
        body = message["Body"]
        sent = message.get("Attributes", {}).get("SentTimestamp")
        received_at = datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else datetime.now(UTC)
        settings = hook.settings
        intake = read_event(
            body,
            received_at=received_at,
            accept_samples=settings.accept_samples,
            own_account=settings.forensic_account_id,
            administrators=names(settings.administrator_accounts),
            rule_names=names(settings.config_rules) or None,
        )
        if intake.extra.get("quarantined"):
            # Some findings of the event are good and some are not: both ends are kept.
            queue.quarantine(body, reason="; ".join(map(str, intake.extra["quarantined"])))
        if intake.verdict is Verdict.QUARANTINE:
            queue.quarantine(body, reason=intake.reason)
            self.log.warning("message %s quarantined: %s", message["MessageId"], intake.reason)
            counts["quarantined"] += 1
        elif intake.verdict is Verdict.IGNORE:
            self.log.info("message %s ignored: %s", message["MessageId"], intake.reason)
            counts["ignored"] += 1
        else:
            try:
                for finding in intake.findings:
                    counts[self._open(hook, finding, received_at)] += 1
            except ForensicsError as error:
                # The message stays: it is delivered again, and after its tries the queue's own redrive moves it.
                self.log.error("message %s could not be worked and stays in the queue: %s", message["MessageId"], error)
                counts["failed"] += 1
                return
        queue.delete(message["ReceiptHandle"])

    def _open(self, hook: ForensicsHook, finding: Finding, received_at: datetime) -> str:
        case = case_from(finding, received_at=received_at)
        with case_context(case.case_id):
            store = hook.store()
            how, holder = store.open_case(case, finding=finding)
            if how == "joined":
                store.note(
                    holder,
                    f"another finding joined: {finding.title[:200]} ({finding.severity.value}, {finding.source.value})",
                    kind=TimelineKind.FINDING,
                    source="finding_intake",
                )
                self.log.info("finding %s joined case %s", finding.finding_id, holder)
            conf = {
                "case_id": holder,
                "account_id": finding.account_id,
                "region": finding.region,
                "instance_id": finding.instance_id,
            }
            # Also when it joined: the message that opened the case may have died between the case and its run.
            run_id = store.case(holder).run_id or holder
            created = trigger_run(self.target_dag_id, run_id=run_id, conf=conf)
            self.log.info("case %s %s, run %s", holder, how, "started" if created else "exists already")
            return how
