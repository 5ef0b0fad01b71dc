"""What is done with each message of the findings' queue, in AWS and in Airflow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import CaseSessions
from forensics.aws.session import AwsSession, Scope
from forensics.case_keys import HEARTBEAT
from forensics.correlation import case_context
from forensics.errors import ForensicsError
from forensics.intake.admission import CaseAdmission
from forensics.intake.annotation import annotate
from forensics.intake.dag_run import active_runs, trigger_run
from forensics.intake.instance_resolver import InstanceResolver
from forensics.intake.intake_log import IntakeLog
from forensics.intake.messages import Answer, ReceivedMessage, RunOrder
from forensics.intake.readers import read_event
from forensics.intake.run_orders import TriggeredDags, case_orders, release_order
from forensics.intake.webhook_senders import WebhookSenders
from forensics.intake.without_instance_announcer import WithoutInstanceAnnouncer
from forensics.intake.write_back import FindingWriteBack
from forensics.models.case import Case
from forensics.models.finding import CustomAction, Finding, PostureFamily
from forensics.models.intake import (
    AdmissionOutcome,
    FindingWithoutInstance,
    IntakeRecord,
    IntakeResult,
    IntakeVerdict,
    MessageOutcome,
)
from forensics.models.preflight import Heartbeat
from forensics.naming import PREFLIGHT
from forensics.settings import Settings, names

log = logging.getLogger(__name__)
# How long the answer to "is there room?" is kept, in seconds.
ROOM_SECONDS = 1.0


@dataclass(frozen=True)
class IntakeGateways:
    """What the handler works with; ``write_back`` gives the way to the findings of a case."""

    store: CaseStore
    admission: CaseAdmission
    resolver: InstanceResolver
    log: IntakeLog
    announcer: WithoutInstanceAnnouncer
    senders: WebhookSenders
    write_back: Callable[[Case], FindingWriteBack]

    @classmethod
    def of(
        cls,
        own: AwsSession,
        settings: Settings,
        *,
        session: Callable[[Scope], AwsSession],
        for_case: Callable[[Case], CaseSessions],
    ) -> Self:
        """Tables and topic under the base identity; look-ups in the findings' accounts under a session of their own."""
        return cls(
            store=CaseStore.of(own, settings),
            admission=CaseAdmission.of(own, settings),
            resolver=InstanceResolver.of(session, home=settings.region),
            log=IntakeLog.of(own, settings),
            announcer=WithoutInstanceAnnouncer.of(own, settings, session=session),
            senders=WebhookSenders.of(own, settings),
            write_back=lambda case: FindingWriteBack.of(for_case(case)),
        )


class FindingHandler:
    """The engine's :class:`~forensics.intake.messages.MessageHandler`; safe to use from several threads."""

    def __init__(self, gateways: IntakeGateways, settings: Settings, dags: TriggeredDags) -> None:
        self._gateways = gateways
        self._settings = settings
        self._dags = dags
        self._started: set[str] = set()
        self._room: tuple[float, bool] = (0.0, True)

    def read(self, body: str, received_at: datetime) -> IntakeResult:
        """Read one message; never raises."""
        settings = self._settings
        result = read_event(
            body,
            received_at=received_at,
            accept_samples=settings.accept_samples,
            own_account=settings.forensic_account_id,
            administrators=names(settings.administrator_accounts),
            rule_names=names(settings.config_rules) or None,
            accounts=names(settings.target_accounts),
            posture=[PostureFamily(name) for name in names(settings.posture_cases)],
        )
        try:
            return self._gateways.resolver.complete(result)
        except ForensicsError as error:
            # A finding whose Region is not certain is processed where it says it is; one without an instance is
            # quarantined, for people to put back when the look-up works again.
            reason = f"{result.reason}; its instance could not be looked up: {error}"
            verdict = result.verdict if result.findings else IntakeVerdict.QUARANTINE
            return result.model_copy(update={"reason": reason, "verdict": verdict})

    def authenticate(self, result: IntakeResult, received: ReceivedMessage) -> IntakeResult:
        """Check the signature of a webhook; every other message is looked up when its finding asks for an isolation."""
        senders = self._gateways.senders
        return senders.authenticate(result, message_id=received.message_id, received_at=received.received_at)

    def admit(self, finding: Finding, received_at: datetime) -> tuple[AdmissionOutcome, Sequence[RunOrder]]:
        """Give a finding its case; returns the outcome and the runs that must exist."""
        if finding.action is CustomAction.RELEASE and self._dags.release:
            case = self._gateways.store.contained_case(finding.account_id, finding.region, finding.instance_id)
            order = release_order(self._dags.release, finding, case=case, received_at=received_at)
            return AdmissionOutcome.RELEASE, [order]
        admitted = self._gateways.admission.admit(finding, received_at=received_at)
        if admitted.outcome.joined:
            # The finding that opens a case is annotated by the case's first step.
            annotate(
                [finding],
                case=admitted.case,
                store=self._gateways.store,
                write_back=lambda: self._gateways.write_back(admitted.case),
                settings=self._settings,
                step="finding_intake",
            )
        if not admitted.needs_run:
            return admitted.outcome, ()
        return admitted.outcome, case_orders(self._dags, admitted.case, finding, wants_more=admitted.wants_more)

    def answer(self, item: FindingWithoutInstance, received_at: datetime) -> Answer:
        """Tell people of a finding without an instance when they must know."""
        return self._gateways.announcer.answer(item, at=received_at)

    def start(self, order: RunOrder) -> bool:
        """Make the run exist; returns whether it was created now."""
        name = f"{order.dag_id}/{order.run_id}"
        if name in self._started:
            return False
        with case_context(order.conf["case_id"]):
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
        """Record what became of an event that opened no case."""
        self._gateways.log.write(record)

    def heartbeat(self, beat: Heartbeat) -> None:
        """Record the last test event of the preflight; it opens no case and leaves no record of its own."""
        self._gateways.store.put(PREFLIGHT, HEARTBEAT, beat)

    def failures(self, message_id: str, received_at: datetime) -> int:
        """How often processing this message has failed."""
        known = self._gateways.log.read(message_id, received_at)
        return known.tries if known is not None and known.verdict is MessageOutcome.FAILED else 0
