"""A message in flight, and what the engine needs from the queue and from whoever handles messages. Pure."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, Self

from forensics.models.finding import Finding
from forensics.models.intake import AdmissionOutcome, FindingWithoutInstance, IntakeRecord, IntakeResult, MessageOutcome
from forensics.models.preflight import Heartbeat


@dataclass(frozen=True)
class RunOrder:
    """A DAG run that must exist before its message is deleted. ``rank``: the highest is started first."""

    dag_id: str
    run_id: str
    conf: dict[str, str]
    note: str
    rank: int


@dataclass(frozen=True)
class Answer:
    """What became of a finding that names no instance: ``outcome`` is announced or ignored."""

    outcome: MessageOutcome
    reason: str
    next_action: str


@dataclass(frozen=True)
class ReceivedMessage:
    """One delivery of a message; ``receipt`` is the handle of this delivery."""

    message_id: str
    receipt: str
    body: str
    received_at: datetime

    @classmethod
    def of(cls, message: Mapping[str, object]) -> Self:
        """Read an entry of ReceiveMessage's answer; without SQS's time of sending, it was received now."""
        attributes = message.get("Attributes")
        sent = attributes.get("SentTimestamp") if isinstance(attributes, Mapping) else None
        return cls(
            message_id=str(message["MessageId"]),
            receipt=str(message["ReceiptHandle"]),
            body=str(message["Body"]),
            received_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else datetime.now(UTC),
        )


@dataclass
class InFlightMessage:
    """A message that is being processed; ``open_orders``: runs that must still be started for it."""

    received: ReceivedMessage
    result: IntakeResult
    open_orders: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class MessageQueue(Protocol):
    """What the engine asks of the queue (:class:`forensics.aws.sqs.FindingQueue`)."""

    def receive(self, *, visibility: int, urgent_only: bool = False) -> Sequence[Mapping[str, object]]:
        """Take up to ten messages, urgent ones first, and hide them for ``visibility`` seconds."""
        ...

    def hide(self, receipts: Sequence[str], *, seconds: int) -> Sequence[str]:
        """Hide messages for ``seconds`` from now; returns why some were refused."""
        ...

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages."""
        ...

    def quarantine(self, body: str, *, reason: str, verdict: str = "quarantine") -> None:
        """Put a copy into the dead-letter queue, with the reason."""
        ...


class MessageHandler(Protocol):
    """What the engine does with messages (:class:`forensics.intake.finding_handler.FindingHandler`)."""

    def read(self, body: str, received_at: datetime) -> IntakeResult:
        """Read one message; never raises."""
        ...

    def authenticate(self, result: IntakeResult, received: ReceivedMessage) -> IntakeResult:
        """The result once it is certain who sent the message: unchanged, with a proof, or refused. Called from several threads.

        Raises :class:`ForensicsError` when that could not be found out.
        """
        ...

    def admit(self, finding: Finding, received_at: datetime) -> tuple[AdmissionOutcome, Sequence[RunOrder]]:
        """Give a finding its case; returns the outcome and the runs that must exist. Called from several threads.

        Raises :class:`FindingError` for a finding that can never be processed: it goes to the dead-letter queue at once.
        """
        ...

    def answer(self, item: FindingWithoutInstance, received_at: datetime) -> Answer:
        """Tell people of a finding without an instance when they must know; called from several threads, safe to repeat."""
        ...

    def start(self, order: RunOrder) -> bool:
        """Make the run exist; returns whether it was created now."""
        ...

    def has_room(self) -> bool:
        """Whether a routine case may be started now."""
        ...

    def record(self, record: IntakeRecord) -> None:
        """Record what became of an event that opened no case."""
        ...

    def heartbeat(self, beat: Heartbeat) -> None:
        """Record that a test event has come all the way; called from several threads."""
        ...

    def failures(self, message_id: str, received_at: datetime) -> int:
        """How often processing this message has failed. Deliveries do not count: a killed worker is not its fault."""
        ...
