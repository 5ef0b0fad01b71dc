"""The intake's engine against SQS as it behaves: order, room, tries, heartbeat, poison."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import boto3
import pytest
from moto.server import ThreadedMotoServer

from forensics.aws.sqs import FindingQueue
from forensics.errors import AccessDeniedError, FindingError, ForensicsError, ThrottledError
from forensics.intake import engine as engine_module
from forensics.intake.engine import IntakeEngine
from forensics.intake.messages import ReceivedMessage, RunOrder
from forensics.intake.priority_queue import PriorityQueue
from forensics.models.finding import Finding, Severity
from forensics.models.intake import AdmissionOutcome, IntakeRecord, IntakeResult, IntakeVerdict
from forensics.models.preflight import Heartbeat
from tests.unit.builders import finding

URGENT = Severity.HIGH.rank


@dataclass
class Recorded:
    """Records its calls, in their order."""

    admitted: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    records: list[IntakeRecord] = field(default_factory=list)
    beats: list[Heartbeat] = field(default_factory=list)
    room: Callable[[], bool] = lambda: True
    slow: float = 0.0
    error: Exception | None = None
    start_error: Exception | None = None
    verdict: IntakeVerdict = IntakeVerdict.ACCEPT
    quarantined: tuple[str, ...] = ()

    def read(self, body: str, received_at: datetime) -> IntakeResult:
        """The body is ``<severity> <name>``."""
        severity, _, name = body.partition(" ")
        findings = (finding(title=name, severity=Severity(severity)),) if self.verdict is IntakeVerdict.ACCEPT else ()
        return IntakeResult(verdict=self.verdict, reason="because", findings=findings, quarantined=self.quarantined)

    def authenticate(self, result: IntakeResult, received: ReceivedMessage) -> IntakeResult:
        """No message here is a webhook."""
        return result

    def admit(self, item: Finding, received_at: datetime) -> tuple[AdmissionOutcome, Sequence[RunOrder]]:
        """One order for each."""
        if self.error:
            raise self.error
        self.admitted.append(item.title)
        return AdmissionOutcome.OPENED, [RunOrder("forensic_case", item.title, {}, "", item.severity.rank)]

    def start(self, order: RunOrder) -> bool:
        """Take as long as the test says."""
        time.sleep(self.slow)
        if self.start_error:
            raise self.start_error
        self.started.append(order.run_id)
        return True

    def has_room(self) -> bool:
        """Whether the test leaves room."""
        return self.room()

    def record(self, record: IntakeRecord) -> None:
        """Keep the record."""
        self.records.append(record)

    def heartbeat(self, beat: Heartbeat) -> None:
        """Keep the test event."""
        self.beats.append(beat)

    def failures(self, message_id: str, received_at: datetime) -> int:
        """How many tries of a message have failed."""
        return sum(1 for r in self.records if (r.message_id, r.verdict) == (message_id, "failed"))


@pytest.fixture(scope="module")
def sqs() -> Iterator[object]:
    """SQS over HTTP."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = boto3.session.Session(aws_access_key_id="testing", aws_secret_access_key="testing")
    yield session.client("sqs", endpoint_url=f"http://{host}:{port}", region_name="eu-central-1")
    server.stop()


@pytest.fixture
def queue(sqs: object, request: pytest.FixtureRequest) -> FindingQueue:
    """Two fresh queues."""
    name = f"q{abs(hash(request.node.name))}"
    urls = [sqs.create_queue(QueueName=n)["QueueUrl"] for n in (name, f"{name}-dead")]  # type: ignore[attr-defined]
    return FindingQueue(sqs, url=urls[0], dead_letter_url=urls[1])


def send(queue: FindingQueue, *bodies: str) -> None:
    """Put messages into the queue."""
    for body in bodies:
        queue._sqs.send_message(QueueUrl=queue.url, MessageBody=body)


def hidden(queue: FindingQueue) -> int:
    """Messages in flight."""
    name = "ApproximateNumberOfMessagesNotVisible"
    answer = queue._sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def run(queue: FindingQueue, work: Recorded, *, seconds: float = 600.0, **more: int) -> IntakeEngine:
    """Run an engine until the queue is empty."""
    engine = IntakeEngine(queue, work, urgent_rank=URGENT, **more)
    engine.run(seconds=seconds, linger=0.3)
    return engine


def test_a_critical_finding_does_not_wait_behind_low_ones(queue: FindingQueue) -> None:
    send(queue, *[f"LOW low-{n}" for n in range(40)])
    work = Recorded(slow=0.03)
    late = threading.Timer(0.4, send, (queue, "CRITICAL critical"))
    late.start()
    engine = run(queue, work)
    assert len(work.started) == 41 and engine.counts == {"opened": 41}
    assert work.started.index("critical") < 30, "it came when a third was done and must be next"
    assert queue.depth() == hidden(queue) == 0


def test_without_room_only_urgent_findings_are_started_and_the_others_go_back(queue: FindingQueue) -> None:
    send(queue, "LOW low", "MEDIUM medium", "HIGH high", "CRITICAL critical")
    work = Recorded(room=lambda: False)
    run(queue, work, seconds=5.0)
    assert sorted(work.started) == ["critical", "high"]
    assert queue.depth() == 2, "what was held back is visible again at once"


def test_a_held_back_finding_is_started_when_there_is_room(queue: FindingQueue) -> None:
    send(queue, "LOW low")
    opened = time.monotonic() + 1.0
    work = Recorded(room=lambda: time.monotonic() > opened)
    run(queue, work)
    assert work.started == ["low"]


def test_what_is_in_flight_stays_hidden_while_it_is_processed(queue: FindingQueue) -> None:
    send(queue, "LOW low")
    opened = time.monotonic() + 8.0
    work = Recorded(room=lambda: time.monotonic() > opened)
    engine = run(queue, work, visibility=3)
    assert work.admitted == ["low"], "it was delivered a second time"
    assert engine.counts == {"opened": 1}


def test_a_failed_message_comes_back_later_and_says_why(queue: FindingQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "BACKOFF", (0, 1, 1, 1, 1))
    send(queue, "HIGH high")
    work = Recorded(error=ThrottledError("the table is busy"))
    run(queue, work)
    assert queue.depth() + hidden(queue) == 1
    work.error = None
    time.sleep(1.1)
    run(queue, work)
    assert work.started == ["high"]
    assert [(r.verdict, r.reason, r.tries) for r in work.records] == [("failed", "the table is busy", 1)]


@pytest.mark.parametrize("where", ["error", "start_error"])
def test_poison_goes_to_the_dead_letter_queue_with_the_reason_after_its_tries(
    queue: FindingQueue, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(engine_module, "BACKOFF", (0,))
    send(queue, "HIGH poison", "HIGH sibling")
    work = Recorded()
    good_admit, good_start = work.admit, work.start

    def admit(item: Finding, received_at: datetime) -> tuple[AdmissionOutcome, Sequence[RunOrder]]:
        if item.title == "poison" and where == "error":
            raise ValueError("it bites")
        return good_admit(item, received_at)

    def start(order: RunOrder) -> bool:
        if order.run_id == "poison" and where == "start_error":
            raise ForensicsError("ValueError: it bites")
        return good_start(order)

    monkeypatch.setattr(work, "admit", admit)
    monkeypatch.setattr(work, "start", start)
    engine = run(queue, work)
    assert work.started == ["sibling"]
    assert engine.counts["failed"] == 4 and engine.counts["dead"] == 1
    assert queue.depth() == hidden(queue) == 0
    (dead,) = queue.receive_dead(visibility=10)
    assert dead["Body"] == "HIGH poison"
    attributes = {k: v["StringValue"] for k, v in dead["MessageAttributes"].items()}
    assert attributes == {"reason": "ValueError: it bites", "verdict": "dead"}
    assert [(r.verdict, r.tries) for r in work.records] == [*[("failed", n) for n in range(1, 5)], ("dead", 5)]


def test_deliveries_to_killed_workers_do_not_count_as_tries(queue: FindingQueue) -> None:
    send(queue, "HIGH unlucky")
    for _ in range(7):
        assert len(queue.receive(visibility=0)) == 1
    work = Recorded(error=ThrottledError("the table is busy"))
    engine = run(queue, work)
    assert engine.counts == {"failed": 1}
    assert queue.dead_letters() == 0


@pytest.mark.parametrize(("verdict", "dead"), [(IntakeVerdict.IGNORE, 0), (IntakeVerdict.QUARANTINE, 1)])
def test_what_opens_no_case_is_recorded_and_leaves_the_queue(
    queue: FindingQueue, verdict: IntakeVerdict, dead: int
) -> None:
    send(queue, "LOW x")
    work = Recorded(verdict=verdict)
    run(queue, work)
    assert [r.reason for r in work.records] == ["because"]
    assert queue.depth() == hidden(queue) == 0
    assert queue.dead_letters() == dead


def test_of_an_event_with_good_and_bad_findings_both_ends_are_kept(queue: FindingQueue) -> None:
    send(queue, "HIGH good")
    work = Recorded(quarantined=("another finding of it contradicts itself",))
    engine = run(queue, work)
    assert work.started == ["good"]
    assert engine.counts == {"opened": 1, "quarantined": 1}
    assert queue.dead_letters() == 1


def test_a_finding_that_can_never_be_processed_is_not_tried_again(queue: FindingQueue) -> None:
    send(queue, "HIGH release")
    work = Recorded(error=FindingError("no case has contained it", next_action="nothing to release"))
    engine = run(queue, work)
    assert work.started == [] and engine.counts == {"quarantined": 1}
    assert [r.reason for r in work.records] == ["no case has contained it. nothing to release"]
    assert queue.depth() == hidden(queue) == 0 and queue.dead_letters() == 1


def test_a_queue_that_cannot_be_read_ends_the_work_with_the_cause(
    queue: FindingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(**_: object) -> None:
        raise AccessDeniedError("receive: not allowed")

    monkeypatch.setattr(queue, "receive", denied)
    monkeypatch.setattr(engine_module, "RECEIVE_ERRORS", 2)
    with pytest.raises(AccessDeniedError, match="not allowed"):
        run(queue, Recorded())


def test_a_thread_that_dies_ends_the_work_with_the_cause_and_the_message_stays(
    queue: FindingQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Recorded()

    def broken(body: str, received_at: datetime) -> IntakeResult:
        msg = "a defect in reading"
        raise RuntimeError(msg)

    monkeypatch.setattr(work, "read", broken)
    send(queue, "LOW one")
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="a defect in reading"):
        run(queue, work, seconds=600)
    assert time.monotonic() - began < 300, "it ends long before its time"
    assert hidden(queue) == 1


def test_the_window_limits_what_is_in_flight(queue: FindingQueue) -> None:
    send(queue, *[f"LOW low-{n}" for n in range(40)])
    seen: list[int] = []
    work = Recorded(room=lambda: bool(seen.append(hidden(queue))) or len(seen) > 5)
    run(queue, work, window=10)
    assert len(work.started) == 40
    assert max(seen) <= 20, "a window of ten, and one batch of ten under way"


def test_the_heap_gives_the_highest_rank_first_and_the_oldest_of_a_rank() -> None:
    heap: PriorityQueue[str] = PriorityQueue()
    for name, rank in (("a", 1), ("b", 3), ("c", 1), ("d", 3)):
        heap.put(name, rank=rank)
    assert [heap.get(timeout=0, at_least=2) for _ in range(3)] == ["b", "d", None]
    assert [heap.get(timeout=0) for _ in range(3)] == ["a", "c", None]


def test_times_come_from_sqs(queue: FindingQueue) -> None:
    send(queue, "HIGH high")
    before = datetime.now(UTC)
    work = Recorded(verdict=IntakeVerdict.IGNORE)
    time.sleep(0.5)
    run(queue, work)
    assert work.records[0].received_at <= before
