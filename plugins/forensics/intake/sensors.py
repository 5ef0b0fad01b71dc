"""The door: findings from the queue become cases and DAG runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator, Context

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.sqs import FindingQueue
from forensics.correlation import case_context
from forensics.errors import FindingError, ForensicsError
from forensics.intake.admission import Admission, CaseAdmission
from forensics.intake.annotation import annotate
from forensics.intake.dag_run import active_runs, trigger_run
from forensics.intake.engine import IntakeEngine, RunOrder
from forensics.intake.instance_resolver import InstanceResolver
from forensics.intake.intake_log import IntakeLog
from forensics.intake.readers import read_event
from forensics.intake.triggers import QueueDepthTrigger
from forensics.intake.write_back import FindingWriteBack
from forensics.models.finding import CustomAction, Finding, FindingSource, Severity, Verdict
from forensics.models.intake import IntakeRecord, Reading
from forensics.settings import names

log = logging.getLogger(__name__)
LINGER_SECONDS = 1.0
WORK_SECONDS = 4 * 3600
WAIT_SECONDS = 3600
ROOM_SECONDS = 1.0
# What a person ordered comes before every severity.
PERSONS_RANK = len(Severity)
URGENT_RANK = Severity.HIGH.rank


class FindingQueueSensor(BaseSensorOperator):
    """Wait for findings without a worker slot; then open a case and start a DAG run for each.

    The wait only looks at the queue. A message is deleted only after its case exists in the case store *and* its DAG run
    exists, both under ids that follow from the finding: a kill at any point loses nothing and doubles nothing. The most
    severe findings are worked first; routine ones (below HIGH) are started only while fewer than the setting
    ``routine_runs`` cases are active. What cannot be worked goes to the dead-letter queue with the reason.

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

    def execute(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        """Drain the queue; when it is empty, defer until it is not."""
        hook = ForensicsHook()
        dags = Dags(self.target_dag_id, self.extension_dag_id, self.release_dag_id)
        work = QueueWork(hook, dags)
        engine = IntakeEngine(
            FindingQueue.of(hook.own(), hook.settings),
            work,
            urgent_rank=URGENT_RANK,
            visibility=hook.settings.finding_visibility_seconds,
        )
        began = time.monotonic()
        try:
            counts = engine.run(seconds=WORK_SECONDS, linger=LINGER_SECONDS if event else 0.0)
        finally:
            self._keep_counts(hook, engine)
        if counts or event is not None:
            self.log.info("findings worked in %.1f s: %s", time.monotonic() - began, dict(counts))
            return dict(counts)
        self.defer(
            trigger=QueueDepthTrigger(poll=hook.settings.queue_poll_seconds, deadline=time.time() + WAIT_SECONDS),
            method_name="execute",
            timeout=timedelta(seconds=WAIT_SECONDS + 300),
        )
        return None

    def _keep_counts(self, hook: ForensicsHook, engine: IntakeEngine) -> None:
        try:
            IntakeLog.of(hook.own(), hook.settings).count(engine.counts, at=datetime.now(UTC))
        except ForensicsError as error:
            # The counts are for the board; the work itself is done and recorded.
            self.log.warning("the day's counts lack %s: %s", dict(engine.counts), error)


@dataclass(frozen=True)
class Dags:
    """The DAGs that findings start; without one of the last two such findings only join."""

    case: str = "forensic_case"
    extension: str | None = None
    release: str | None = None


class QueueWork:
    """What the engine does with each message, in AWS and in Airflow."""

    def __init__(self, hook: ForensicsHook, dags: Dags) -> None:
        self._hook, self._settings = hook, hook.settings
        own = hook.own()
        self._store = CaseStore.of(own, hook.settings)
        self._admission = CaseAdmission.of(own, hook.settings)
        self._resolver = InstanceResolver.of(hook)
        self._log = IntakeLog.of(own, hook.settings)
        self._dags = dags
        self._started: set[str] = set()
        self._room: tuple[float, bool] = (0.0, True)

    def read(self, body: str, received_at: datetime) -> Reading:
        """Read one message; never raises."""
        settings = self._settings
        intake = read_event(
            body,
            received_at=received_at,
            accept_samples=settings.accept_samples,
            own_account=settings.forensic_account_id,
            administrators=names(settings.administrator_accounts),
            rule_names=names(settings.config_rules) or None,
        )
        try:
            intake = self._resolver.complete(intake)
        except ForensicsError as error:
            # A finding whose Region is not certain is worked where it says it is; one without instance waits for people,
            # who put it back when the look-up works.
            reason = f"{intake.reason}; its instance could not be looked up: {error}"
            verdict = intake.verdict if intake.findings else Verdict.QUARANTINE
            intake = intake.model_copy(update={"reason": reason, "verdict": verdict})
        return Reading(
            verdict=intake.verdict,
            reason=intake.reason,
            findings=intake.findings,
            spoiled="; ".join(map(str, intake.extra.get("quarantined", []))),
            rank=max((rank_of(f) for f in intake.findings), default=0),
            detail_type=intake.detail_type,
            event_id=intake.event_id,
        )

    def admit(self, finding: Finding, received_at: datetime) -> tuple[str, Sequence[RunOrder]]:
        """Give a finding its case; returns how, and the runs that must exist."""
        if finding.action is CustomAction.RELEASE and self._dags.release:
            return "release", [self._release(self._dags.release, finding, received_at)]
        admitted = self._admission.admit(finding, received_at=received_at)
        if admitted.how in {"joined", "raised"}:
            # The finding that opens a case is annotated by the case's first step.
            annotate(
                [finding],
                case=admitted.case,
                store=self._store,
                write_back=lambda: FindingWriteBack.of(self._hook.for_case(admitted.case)),
                settings=self._settings,
                step="finding_intake",
            )
        return admitted.how, self._orders(admitted) if admitted.needs_run else ()

    def _orders(self, admitted: Admission) -> list[RunOrder]:
        case, finding = admitted.case, admitted.finding
        place = {"account_id": case.account_id, "region": case.region, "instance_id": case.instance_id}
        note = f"{finding.severity.value}, {finding.source.value}, {case.instance_id}: {finding.title[:200]}"
        # Also when it joined: the message that opened the case may have died between the case and its run.
        conf = {"case_id": case.case_id, **place}
        orders = [
            RunOrder(self._dags.case, case.run_id or case.case_id, conf, f"finding_intake: {note}", rank_of(finding))
        ]
        if admitted.wants_more and self._dags.extension:
            run_id = f"{case.case_id}-{finding.key[:12]}-{finding.severity.value.lower()}"
            conf = {"case_id": case.case_id}
            orders.append(RunOrder(self._dags.extension, run_id, conf, f"joined: {note}", rank_of(finding)))
        return orders

    def _release(self, dag_id: str, finding: Finding, received_at: datetime) -> RunOrder:
        """A person wants a target back: the release of the last case that contained it, which another person approves.

        The order opens no case. Pressed twice within a minute, or delivered twice, it is one run.
        """
        case = self._store.contained_case(finding.account_id, finding.region, finding.instance_id)
        if case is None:
            msg = f"{CustomAction.RELEASE.value}: no case has contained {finding.instance_id} in account {finding.account_id}, {finding.region}"
            raise FindingError(msg, next_action="nothing was changed by this product, so there is nothing to release")
        run_id = f"{case.case_id}-release-{received_at:%Y%m%dT%H%MZ}"
        requester = finding.requester or f"custom action {CustomAction.RELEASE.value}"
        reason = (finding.reason or f"ordered on the finding {finding.title}")[:500]
        conf = {"case_id": case.case_id, "requester": requester[:100], "reason": reason}
        return RunOrder(dag_id, run_id, conf, f"{requester}: {case.instance_id}", PERSONS_RANK)

    def start(self, order: RunOrder) -> bool:
        """Make the run exist; returns whether it was made now."""
        name = f"{order.dag_id}/{order.run_id}"
        if name in self._started:
            return False
        with case_context(str(order.conf["case_id"])):
            created = trigger_run(order.dag_id, run_id=order.run_id, conf=order.conf, note=order.note)
        self._started.add(name)
        return created

    def has_room(self) -> bool:
        """Whether fewer than ``routine_runs`` cases are active; asked once a second at most."""
        asked, room = self._room
        if time.monotonic() - asked > ROOM_SECONDS:
            try:
                room = active_runs(self._dags.case) < self._settings.routine_runs
            except ForensicsError as error:
                log.warning("routine findings wait: %s", error)
                room = False
            self._room = (time.monotonic(), room)
        return room

    def record(self, record: IntakeRecord) -> None:
        """Keep what became of an event that opened no case."""
        self._log.write(record)

    def failures(self, message_id: str, received_at: datetime) -> int:
        """How often this message has failed before."""
        known = self._log.read(message_id, received_at)
        return known.tries if known is not None and known.verdict == "failed" else 0


def rank_of(finding: Finding) -> int:
    """The order in which findings are worked: a person's first, then by severity."""
    by_person = finding.action is not None or finding.source is FindingSource.MANUAL
    return PERSONS_RANK if by_person else finding.severity.rank
