"""The intake's engine on a queue in memory: each outcome of a message, and what is left in the queue."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from forensics.errors import AwsError, FindingError, ForensicsError, ThrottledError
from forensics.intake import engine as engine_module
from forensics.intake.engine import TRIES, IntakeEngine
from forensics.intake.messages import Answer, ReceivedMessage, RunOrder
from forensics.models.finding import Finding, Severity
from forensics.models.intake import (
    AdmissionOutcome,
    FindingWithoutInstance,
    IntakeRecord,
    IntakeResult,
    IntakeVerdict,
    MessageOutcome,
)
from forensics.models.preflight import Heartbeat
from tests.unit.builders import NOW, finding

URGENT = Severity.HIGH.rank


@dataclass
class QueueInMemory:
    """Every message is delivered once; what was done with it can be looked at."""

    waiting: list[str]
    urgent: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    hidden: list[tuple[str, int]] = field(default_factory=list)
    dead: list[tuple[str, str, str]] = field(default_factory=list)
    delete_error: ForensicsError | None = None

    def receive(self, *, visibility: int, urgent_only: bool = False) -> Sequence[Mapping[str, object]]:
        if self.urgent or urgent_only:
            taken, self.urgent = self.urgent[:10], self.urgent[10:]
        else:
            taken, self.waiting = self.waiting[:10], self.waiting[10:]
        sent = {"SentTimestamp": str(int(NOW.timestamp() * 1000))}
        return [{"MessageId": b, "ReceiptHandle": f"receipt of {b}", "Body": b, "Attributes": sent} for b in taken]

    def hide(self, receipts: Sequence[str], *, seconds: int) -> Sequence[str]:
        self.hidden += [(receipt, seconds) for receipt in receipts]
        return []

    def delete(self, receipts: Sequence[str]) -> None:
        if self.delete_error:
            raise self.delete_error
        self.deleted += receipts

    def quarantine(self, body: str, *, reason: str, verdict: str = "quarantine") -> None:
        self.dead.append((body, reason, verdict))


@dataclass
class Handler:
    """Bodies begin with ``<severity>``; each finding opens a case, unless a test says otherwise."""

    result: Callable[[str], IntakeResult] | None = None
    error: Exception | None = None
    start_error: ForensicsError | None = None
    orders: int = 1
    room: bool = True
    failed_before: int = 0
    received: list[datetime] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    records: list[IntakeRecord] = field(default_factory=list)
    beats: list[Heartbeat] = field(default_factory=list)
    answer_error: ForensicsError | None = None
    answered: list[str] = field(default_factory=list)

    def read(self, body: str, received_at: datetime) -> IntakeResult:
        self.received.append(received_at)
        if self.result:
            return self.result(body)
        severity = Severity(body.partition(" ")[0])
        found = finding(title=body, severity=severity)
        return IntakeResult(verdict=IntakeVerdict.ACCEPT, reason="1 accepted", findings=(found,))

    def authenticate(self, result: IntakeResult, received: ReceivedMessage) -> IntakeResult:
        """As the test says."""
        return result

    def admit(self, item: Finding, received_at: datetime) -> tuple[AdmissionOutcome, Sequence[RunOrder]]:
        if self.error:
            raise self.error
        orders = [RunOrder("forensic_case", f"{item.title}-{n}", {}, "", item.intake_rank) for n in range(self.orders)]
        return AdmissionOutcome.OPENED, orders

    def answer(self, item: FindingWithoutInstance, received_at: datetime) -> Answer:
        if self.answer_error:
            raise self.answer_error
        self.answered.append(item.finding_id)
        told = item.severity.rank >= Severity.HIGH.rank
        outcome = MessageOutcome.ANNOUNCED if told else MessageOutcome.IGNORED
        return Answer(outcome, f"why {item.finding_id}", f"do {item.finding_id}")

    def start(self, order: RunOrder) -> bool:
        if self.start_error:
            raise self.start_error
        self.started.append(order.run_id)
        return True

    def has_room(self) -> bool:
        return self.room

    def record(self, record: IntakeRecord) -> None:
        self.records.append(record)

    def heartbeat(self, beat: Heartbeat) -> None:
        """Keep the test event."""
        self.beats.append(beat)

    def failures(self, message_id: str, received_at: datetime) -> int:
        return self.failed_before


@pytest.fixture(autouse=True)
def _few_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "ADMISSION_THREADS", 2)


def run(queue: QueueInMemory, handler: Handler, *, seconds: float = 20.0) -> dict[str, int]:
    """Run until the queue is empty; the counts."""
    return dict(IntakeEngine(queue, handler, urgent_rank=URGENT).run(seconds=seconds, linger=0.05))


def test_a_message_is_deleted_when_all_its_runs_exist() -> None:
    queue, handler = QueueInMemory(["HIGH"]), Handler(orders=2)
    assert run(queue, handler) == {"opened": 1}
    assert handler.started == ["HIGH-0", "HIGH-1"]
    assert queue.deleted == ["receipt of HIGH"]
    assert handler.received == [NOW] and handler.records == []


def test_a_finding_that_needs_no_run_is_deleted_as_well() -> None:
    queue = QueueInMemory(["HIGH"])
    assert run(queue, Handler(orders=0)) == {"opened": 1}
    assert queue.deleted == ["receipt of HIGH"]


def test_without_room_routine_findings_go_back() -> None:
    queue, handler = QueueInMemory(["LOW", "CRITICAL"]), Handler(room=False)
    run(queue, handler, seconds=1.0)
    assert handler.started == ["CRITICAL-0"]
    assert ("receipt of LOW", 0) in queue.hidden and queue.deleted == ["receipt of CRITICAL"]


@pytest.mark.parametrize(
    ("verdict", "outcome", "dead"),
    [
        (IntakeVerdict.IGNORE, MessageOutcome.IGNORED, []),
        (IntakeVerdict.QUARANTINE, MessageOutcome.QUARANTINED, [("x", "because", "quarantine")]),
    ],
)
def test_an_event_without_findings_is_recorded_and_deleted(
    verdict: IntakeVerdict, outcome: MessageOutcome, dead: list[tuple[str, str, str]]
) -> None:
    handler = Handler(
        result=lambda _: IntakeResult(verdict=verdict, reason="because", event_id="e-1", detail_type="Some Event")
    )
    queue = QueueInMemory(["x"])
    assert run(queue, handler) == {outcome.value: 1}
    (record,) = handler.records
    assert (record.verdict, record.reason, record.event_id, record.detail_type) == (
        outcome,
        "because",
        "e-1",
        "Some Event",
    )
    assert (queue.dead, queue.deleted) == (dead, ["receipt of x"])


def test_of_an_event_with_good_and_bad_findings_both_are_handled() -> None:
    result = IntakeResult(
        verdict=IntakeVerdict.ACCEPT, reason="1 accepted", findings=(finding(title="good"),), quarantined=("a", "b")
    )
    queue, handler = QueueInMemory(["x"]), Handler(result=lambda _: result)
    assert run(queue, handler) == {"opened": 1, "quarantined": 1}
    assert handler.started == ["good-0"]
    assert queue.dead == [("x", "a; b", "quarantine")]


def test_a_finding_that_can_never_be_processed_is_quarantined_at_once() -> None:
    queue, handler = QueueInMemory(["HIGH"]), Handler(error=FindingError("no case", next_action="nothing to release"))
    assert run(queue, handler) == {"quarantined": 1}
    assert queue.dead == [("HIGH", "no case. nothing to release", "quarantine")]
    assert queue.deleted == ["receipt of HIGH"]


@pytest.mark.parametrize("where", ["admission", "start"])
def test_a_failed_message_stays_in_the_queue_for_a_while(where: str) -> None:
    error = ThrottledError("busy", next_action="wait")
    queue = QueueInMemory(["HIGH"])
    handler = Handler(
        error=error if where == "admission" else None,
        start_error=error if where == "start" else None,
        failed_before=1,
    )
    assert run(queue, handler)["failed"] == 1
    (record,) = handler.records
    assert (record.verdict, record.reason, record.next_action, record.tries) == ("failed", "busy", "wait", 2)
    assert queue.hidden == [("receipt of HIGH", engine_module.BACKOFF[2])]
    assert queue.deleted == [] and queue.dead == []


def test_after_its_tries_it_goes_to_the_dead_letter_queue() -> None:
    queue, handler = QueueInMemory(["HIGH"]), Handler(error=ValueError("it bites"), failed_before=TRIES - 1)
    assert run(queue, handler) == {"dead": 1}
    assert queue.dead == [("HIGH", "ValueError: it bites", "dead")]
    assert queue.deleted == ["receipt of HIGH"]
    assert handler.records[0].next_action == "report this as a defect; then run finding_redrive"


def test_what_cannot_be_deleted_is_left_to_the_next_delivery() -> None:
    queue = QueueInMemory(["HIGH"], delete_error=AwsError("the connection broke"))
    assert run(queue, Handler()) == {"opened": 1}
    assert queue.deleted == [] and queue.hidden == []


def test_a_test_event_is_dropped_and_remembered_but_leaves_no_record() -> None:
    beat = Heartbeat(sent_at=NOW, received_at=NOW, account_id="111122223333")
    handler = Handler(result=lambda _: IntakeResult(verdict=IntakeVerdict.IGNORE, reason="test event", heartbeat=beat))
    queue = QueueInMemory(["beat"])
    assert run(queue, handler) == {"heartbeats": 1}
    assert (handler.beats, handler.records, handler.started) == ([beat], [], [])
    assert queue.deleted == ["receipt of beat"]


def without_instance(*severities: Severity, accepted: int = 0) -> Callable[[str], IntakeResult]:
    """An event with findings that name no instance, and findings that do."""
    items = tuple(
        FindingWithoutInstance(finding_id=f"f-{n}", title="t", severity=severity, account_id="111122223333")
        for n, severity in enumerate(severities)
    )
    verdict = IntakeVerdict.ACCEPT if accepted else IntakeVerdict.IGNORE
    findings = tuple(finding(title=f"run-{n}") for n in range(accepted))
    return lambda _: IntakeResult(verdict=verdict, reason="x", findings=findings, without_instance=items)


def test_findings_without_an_instance_are_answered_and_recorded_with_what_to_do() -> None:
    queue, handler = (
        QueueInMemory(["a"]),
        Handler(result=without_instance(Severity.LOW, Severity.HIGH, Severity.CRITICAL)),
    )
    assert run(queue, handler) == {"announced": 1}
    (record,) = handler.records
    assert (record.verdict, record.reason) == (MessageOutcome.ANNOUNCED, "why f-1; why f-2")
    assert record.next_action == "do f-1; do f-2"
    assert handler.answered == ["f-0", "f-1", "f-2"] and queue.deleted == ["receipt of a"] and queue.dead == []


def test_a_minor_finding_without_an_instance_is_ignored_with_what_to_do() -> None:
    queue, handler = QueueInMemory(["a"]), Handler(result=without_instance(Severity.MEDIUM))
    assert run(queue, handler) == {"ignored": 1}
    assert (handler.records[0].reason, handler.records[0].next_action) == ("why f-0", "do f-0")


def test_a_message_to_people_that_fails_is_tried_again() -> None:
    queue = QueueInMemory(["a"])
    handler = Handler(result=without_instance(Severity.HIGH), answer_error=ThrottledError("slow down"))
    assert run(queue, handler) == {"failed": 1}
    assert queue.deleted == [] and queue.hidden[0] == ("receipt of a", engine_module.BACKOFF[1])


def test_cases_do_not_wait_for_a_message_to_people_and_the_event_is_kept() -> None:
    queue = QueueInMemory(["a"])
    handler = Handler(result=without_instance(Severity.HIGH, accepted=1), answer_error=AwsError("SNS is down"))
    assert run(queue, handler) == {"opened": 1, "quarantined": 1}
    assert handler.started == ["run-0-0"] and queue.deleted == ["receipt of a"]
    ((body, reason, verdict),) = queue.dead
    assert (body, verdict) == ("a", "quarantine") and "SNS is down" in reason


def test_a_severe_finding_without_an_instance_is_answered_before_minor_ones() -> None:
    low, high = without_instance(Severity.LOW)("x"), without_instance(Severity.CRITICAL)("x")
    assert (low.rank, high.rank) == (Severity.LOW.rank, Severity.CRITICAL.rank)


def test_a_full_window_keeps_no_urgent_message_out() -> None:
    """Ten thousand findings of a storm fill the window; what came by the urgent queue is taken, read and started all the same."""
    queue, handler = QueueInMemory([f"LOW {number}" for number in range(500)]), Handler(room=False)
    engine = IntakeEngine(queue, handler, urgent_rank=URGENT, window=20)

    def order_later() -> None:
        while len(queue.waiting) > 480:
            time.sleep(0.01)
        queue.urgent.append("CRITICAL")

    person = threading.Thread(target=order_later)
    person.start()
    engine.run(seconds=2)
    person.join()
    assert handler.started == ["CRITICAL-0"] and queue.deleted == ["receipt of CRITICAL"]
    assert len(queue.waiting) >= 470, "routine findings wait in the queue, not in this process"
