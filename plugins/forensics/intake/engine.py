"""The intake's engine: many messages in flight at once, the most severe finding first.

Three kinds of threads share the work. The receiver takes messages until the window is full and reads them; openers give
each finding its case; the calling thread starts the DAG runs, since a task talks to its supervisor one word at a time.
Another thread keeps what is in flight hidden from other consumers. A message is deleted only when all its findings have
their case and their run, so that a kill at any point loses nothing, and all ids follow from the finding, so that it
doubles nothing.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from forensics.aws.sqs import FindingQueue
from forensics.errors import FindingError, ForensicsError
from forensics.models.finding import Finding, Verdict
from forensics.models.intake import IntakeRecord, Reading

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

T = TypeVar("T")
log = logging.getLogger(__name__)
TRIES = 5
# Seconds until a failed message is tried again, by how often it failed: an outage must not use up its tries.
BACKOFF = (0, 10, 60, 300, 900)
RECEIVE_ERRORS = 5
OPENERS = 6


@dataclass(frozen=True)
class RunOrder:
    """A DAG run that must exist before its message may go. ``rank``: the most severe are started first."""

    dag_id: str
    run_id: str
    conf: dict[str, Any]
    note: str
    rank: int


@dataclass
class Parcel:
    """A message in flight."""

    message: MessageTypeDef
    reading: Reading
    received_at: datetime
    open_orders: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def receipt(self) -> str:
        """The handle of this delivery."""
        return str(self.message["ReceiptHandle"])


class Work(Protocol):
    """What the engine is to do with messages; the sensor gives it."""

    def read(self, body: str, received_at: datetime) -> Reading:
        """Read one message; never raises."""
        ...

    def admit(self, finding: Finding, received_at: datetime) -> tuple[str, Sequence[RunOrder]]:
        """Give a finding its case; returns how, and the runs that must exist. Called from several threads.

        Raises :class:`FindingError` for a finding that can never be worked: it goes to the dead-letter queue at once.
        """
        ...

    def start(self, order: RunOrder) -> bool:
        """Make the run exist; returns whether it was made now."""
        ...

    def has_room(self) -> bool:
        """Whether a routine case may be started now."""
        ...

    def record(self, record: IntakeRecord) -> None:
        """Keep what became of an event that opened no case."""
        ...

    def failures(self, message_id: str, received_at: datetime) -> int:
        """How often this message has failed before. Deliveries are not failures: a killed worker is not its fault."""
        ...


class Heap(Generic[T]):
    """The highest rank first, in order of arrival within a rank; safe for threads."""

    def __init__(self) -> None:
        self._items: list[tuple[int, int, T]] = []
        self._number = itertools.count()
        self._changed = threading.Condition()

    def put(self, item: T, *, rank: int) -> None:
        """Add an item."""
        with self._changed:
            heapq.heappush(self._items, (-rank, next(self._number), item))
            self._changed.notify()

    def get(self, *, timeout: float, at_least: int | None = None) -> T | None:
        """Take the item of the highest rank; None when there is none (of ``at_least`` that rank) within ``timeout`` s."""
        end = time.monotonic() + timeout
        with self._changed:
            while not self._items or (at_least is not None and -self._items[0][0] < at_least):
                left = end - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            return heapq.heappop(self._items)[2]

    def __len__(self) -> int:
        return len(self._items)


class IntakeEngine:
    """Works the queue until it is empty.

    :param urgent_rank: orders of this rank and above are started whether or not there is room
    :param visibility: seconds that a message stays hidden when this process dies
    :param window: how many messages are in flight at most
    """

    def __init__(
        self, queue: FindingQueue, work: Work, *, urgent_rank: int, visibility: int = 60, window: int = 2000
    ) -> None:
        self._queue = queue
        self._work = work
        self._urgent_rank = urgent_rank
        self._visibility = visibility
        self._window = window
        self.counts: Counter[str] = Counter()
        self._parcels: Heap[Parcel] = Heap()
        self._orders: Heap[tuple[Parcel, RunOrder]] = Heap()
        self._flying: dict[str, Parcel] = {}
        self._done: list[Parcel] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._empty_since = 0.0
        self._broken: Exception | None = None

    # ------------------------------------------------------------------ the calling thread
    def run(self, *, seconds: float, linger: float = 0.0) -> Counter[str]:
        """Work until the queue has been empty for ``linger`` seconds, or ``seconds`` are over; returns the counts.

        Raises the last :class:`ForensicsError` when SQS cannot be read any more, and whatever ended one of the threads;
        what is in flight comes back then.
        """
        end = time.monotonic() + seconds
        roles = [self._receive_all, self._keep_hidden, *[self._open_all] * OPENERS]
        threads = [
            threading.Thread(target=self._guarded, args=(role,), name=f"intake-{n}", daemon=True)
            for n, role in enumerate(roles)
        ]
        for thread in threads:
            thread.start()
        try:
            while time.monotonic() < end and self._broken is None:
                self._start_next()
                self._delete_done()
                if self._idle(linger):
                    break
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(timeout=30)
            self._delete_done()
            self._give_back()
        if self._broken is not None:
            raise self._broken
        return self.counts

    def _guarded(self, role: Callable[[], None]) -> None:
        """A thread that died unseen would leave the intake waiting for it: its end is the end of this run."""
        try:
            role()
        except Exception as error:
            log.exception("a thread of the intake ended")
            self._broken = error

    def _start_next(self) -> None:
        """Start one run: the most severe; routine ones only while there is room."""
        found = self._orders.get(timeout=0.05, at_least=self._urgent_rank)
        if found is None and len(self._orders) and self._work.has_room():
            found = self._orders.get(timeout=0)
        if found is None:
            return
        parcel, order = found
        try:
            self._work.start(order)
        except ForensicsError as error:
            self._failed(parcel, str(error), next_action=error.next_action)
            return
        self._order_done(parcel)

    def _idle(self, linger: float) -> bool:
        with self._lock:
            flying = len(self._flying)
        return not flying and self._empty_since > 0 and time.monotonic() - self._empty_since >= linger

    def _delete_done(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        if not done:
            return
        try:
            self._queue.delete([p.receipt for p in done])
        except ForensicsError as error:
            # Their work is done: they come back, find their cases and runs, and are deleted then.
            log.warning("%s messages could not be deleted and come back: %s", len(done), error)
        self._land(done)

    def _give_back(self) -> None:
        """What was not worked in this time is visible again at once."""
        with self._lock:
            left = list(self._flying.values())
            self._flying.clear()
        if not left:
            return
        log.info("%s messages go back to the queue", len(left))
        try:
            self._queue.hide([p.receipt for p in left], seconds=0)
        except ForensicsError as error:
            log.warning("they come back when their %s s are over: %s", self._visibility, error)

    # ------------------------------------------------------------------ the receiver
    def _receive_all(self) -> None:
        errors = 0
        while not self._stop.is_set():
            with self._lock:
                full = len(self._flying) >= self._window
            if full:
                self._stop.wait(0.2)
                continue
            try:
                messages = self._queue.receive(visibility=self._visibility)
                errors = 0
            except ForensicsError as error:
                errors += 1
                log.warning("receiving failed (%s of %s in a row): %s", errors, RECEIVE_ERRORS, error)
                if errors >= RECEIVE_ERRORS or not error.retryable:
                    self._broken = error
                    return
                self._stop.wait(min(10.0, 0.5 * 2**errors))
                continue
            if messages:
                self._take(messages)
            else:
                self._empty_since = self._empty_since or time.monotonic()
                self._stop.wait(0.1)

    def _take(self, messages: list[MessageTypeDef]) -> None:
        for message in messages:
            sent = message.get("Attributes", {}).get("SentTimestamp")
            received_at = datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else datetime.now(UTC)
            parcel = Parcel(message, self._work.read(message["Body"], received_at), received_at)
            with self._lock:
                self._flying[parcel.receipt] = parcel
                self._empty_since = 0.0
            self._parcels.put(parcel, rank=parcel.reading.rank)

    def _keep_hidden(self) -> None:
        while not self._stop.wait(self._visibility / 3):
            with self._lock:
                receipts = list(self._flying)
            try:
                refused = self._queue.hide(receipts, seconds=self._visibility)
            except ForensicsError as error:
                log.warning("%s messages may be delivered twice (harmless): %s", len(receipts), error)
                continue
            if refused:
                log.warning("%s messages may be delivered twice (harmless): %s", len(refused), refused[0])

    # ------------------------------------------------------------------ the openers
    def _open_all(self) -> None:
        while not self._stop.is_set():
            parcel = self._parcels.get(timeout=0.1)
            if parcel is None:
                continue
            try:
                self._open(parcel)
            except ForensicsError as error:
                self._failed(parcel, str(error), next_action=error.next_action)
            except Exception as error:
                # One message must not end the intake of all others, whatever is wrong with it.
                log.exception("message %s could not be worked", parcel.message["MessageId"])
                self._failed(parcel, f"{type(error).__name__}: {error}", next_action="report this as a defect")

    def _open(self, parcel: Parcel) -> None:
        reading, body = parcel.reading, parcel.message["Body"]
        if reading.verdict is Verdict.QUARANTINE:
            self._queue.quarantine(body, reason=reading.reason)
            self._write(parcel, "quarantined", reading.reason)
        elif reading.verdict is Verdict.IGNORE:
            self._write(parcel, "ignored", reading.reason)
        orders: list[RunOrder] = []
        spoiled = [reading.spoiled] if reading.spoiled else []
        for finding in reading.findings:
            try:
                how, wanted = self._work.admit(finding, parcel.received_at)
            except FindingError as error:
                spoiled.append(f"{error}. {error.next_action}")
                continue
            self._count(how)
            orders += wanted
        if spoiled:
            # Some findings of the event are good and some are not: both ends are kept.
            reason = "; ".join(spoiled)
            self._queue.quarantine(body, reason=reason)
            self._write(parcel, "quarantined", reason)
        with parcel.lock:
            parcel.open_orders = len(orders)
        for order in orders:
            self._orders.put((parcel, order), rank=order.rank)
        if not orders:
            self._finish(parcel)

    def _order_done(self, parcel: Parcel) -> None:
        with parcel.lock:
            parcel.open_orders -= 1
            finished = parcel.open_orders == 0
        if finished:
            self._finish(parcel)

    # ------------------------------------------------------------------ ends
    def _finish(self, parcel: Parcel) -> None:
        with self._lock:
            self._done.append(parcel)

    def _land(self, parcels: Sequence[Parcel]) -> None:
        with self._lock:
            for parcel in parcels:
                self._flying.pop(parcel.receipt, None)

    def _failed(self, parcel: Parcel, reason: str, *, next_action: str) -> None:
        """The message is tried again later; after its tries it goes to the dead-letter queue with the reason."""
        identity = str(parcel.message["MessageId"])
        log.error("message %s could not be worked: %s", identity, reason)
        try:
            tries = self._work.failures(identity, parcel.received_at) + 1
            if tries >= TRIES:
                self._queue.quarantine(parcel.message["Body"], reason=reason, verdict="dead")
                self._write(parcel, "dead", reason, next_action=f"{next_action}; then run finding_redrive", tries=tries)
                self._finish(parcel)
                return
            self._write(parcel, "failed", reason, next_action=next_action, tries=tries)
            self._land([parcel])
            self._queue.hide([parcel.receipt], seconds=BACKOFF[min(tries, len(BACKOFF) - 1)])
        except ForensicsError as error:
            log.error("and that could not be recorded; the message comes back by itself: %s", error)
            self._land([parcel])

    def _write(self, parcel: Parcel, verdict: str, reason: str, *, next_action: str = "", tries: int = 1) -> None:
        self._count(verdict)
        reading = parcel.reading
        self._work.record(
            IntakeRecord(
                message_id=str(parcel.message["MessageId"]),
                received_at=parcel.received_at,
                verdict=verdict,
                reason=reason[:2000],
                next_action=next_action[:2000],
                detail_type=reading.detail_type,
                event_id=reading.event_id,
                tries=tries,
            )
        )

    def _count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1
