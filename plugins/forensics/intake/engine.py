"""The intake's engine: many messages in flight at once, the most severe finding first. Pure but for its threads.

Three kinds of threads share the work. The receiver takes messages until the window is full and reads them; admission
threads give each finding its case; the calling thread starts the DAG runs, since a task sends its supervisor one
request at a time. A further thread keeps what is in flight hidden from other consumers. A message is deleted only when
all its findings have their case and their run, so that a kill at any point loses nothing; and all ids follow from the
finding, so that nothing is created twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from forensics.errors import FindingError, ForensicsError
from forensics.intake.messages import InFlightMessage, MessageHandler, MessageQueue, ReceivedMessage, RunOrder
from forensics.intake.priority_queue import PriorityQueue
from forensics.models.intake import IntakeRecord, IntakeVerdict, MessageOutcome

log = logging.getLogger(__name__)
TRIES = 5
# Seconds until a failed message is tried again, by how often it failed: an outage must not use up its tries.
BACKOFF = (0, 10, 60, 300, 900)
RECEIVE_ERRORS = 5
ADMISSION_THREADS = 6


class IntakeEngine:
    """Processes the queue until it is empty.

    :param urgent_rank: orders of this rank and above are started whether or not there is room
    :param visibility: seconds that a message stays hidden when this process dies
    :param window: how many messages are in flight at most; as many again where they come by the urgent queue
    """

    def __init__(
        self,
        queue: MessageQueue,
        handler: MessageHandler,
        *,
        urgent_rank: int,
        visibility: int = 60,
        window: int = 2000,
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._urgent_rank = urgent_rank
        self._visibility = visibility
        self._window = window
        self.counts: Counter[str] = Counter()
        self._waiting: PriorityQueue[InFlightMessage] = PriorityQueue()
        self._orders: PriorityQueue[tuple[InFlightMessage, RunOrder]] = PriorityQueue()
        self._in_flight: dict[str, InFlightMessage] = {}
        self._done: list[InFlightMessage] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._empty_since = 0.0
        self._thread_error: Exception | None = None

    # ------------------------------------------------------------------ the calling thread
    def run(self, *, seconds: float, linger: float = 0.0) -> Counter[str]:
        """Process until the queue has been empty for ``linger`` seconds, or ``seconds`` have passed; returns the counts.

        Raises the last :class:`ForensicsError` when SQS cannot be read any more, and whatever ended one of the threads;
        messages in flight then become visible again.
        """
        end = time.monotonic() + seconds
        roles = [self._receive_all, self._keep_hidden, *[self._admit_all] * ADMISSION_THREADS]
        threads = [
            threading.Thread(target=self._supervised, args=(role,), name=f"intake-{n}", daemon=True)
            for n, role in enumerate(roles)
        ]
        for thread in threads:
            thread.start()
        try:
            while time.monotonic() < end and self._thread_error is None:
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
        if self._thread_error is not None:
            raise self._thread_error
        return self.counts

    def _supervised(self, role: Callable[[], None]) -> None:
        """Run a thread's role; an error in it ends the whole run, which would otherwise wait for the thread for ever."""
        try:
            role()
        except Exception as error:
            log.exception("a thread of the intake ended")
            self._thread_error = error

    def _start_next(self) -> None:
        """Start one run: the most severe; routine ones only while there is room."""
        found = self._orders.get(timeout=0.05, at_least=self._urgent_rank)
        if found is None and len(self._orders) and self._handler.has_room():
            found = self._orders.get(timeout=0)
        if found is None:
            return
        message, order = found
        try:
            self._handler.start(order)
        except ForensicsError as error:
            self._failed(message, str(error), next_action=error.next_action)
            return
        self._order_done(message)

    def _idle(self, linger: float) -> bool:
        with self._lock:
            in_flight = len(self._in_flight)
        return not in_flight and self._empty_since > 0 and time.monotonic() - self._empty_since >= linger

    def _delete_done(self) -> None:
        with self._lock:
            done, self._done = self._done, []
        if not done:
            return
        try:
            self._queue.delete([message.received.receipt for message in done])
        except ForensicsError as error:
            # Their work is done: they are delivered again, find their cases and runs, and are deleted then.
            log.warning("%s messages could not be deleted and will be delivered again: %s", len(done), error)
        self._forget(done)

    def _give_back(self) -> None:
        """Make what was not processed in this time visible again at once."""
        with self._lock:
            left = list(self._in_flight.values())
            self._in_flight.clear()
        if not left:
            return
        log.info("%s messages go back to the queue", len(left))
        try:
            self._queue.hide([message.received.receipt for message in left], seconds=0)
        except ForensicsError as error:
            log.warning("they become visible again after %s s: %s", self._visibility, error)

    # ------------------------------------------------------------------ the receiver
    def _receive_all(self) -> None:
        errors = 0
        while not self._stop.is_set():
            with self._lock:
                held = len(self._in_flight)
            if held >= 2 * self._window:
                self._stop.wait(0.2)
                continue
            try:
                # ten thousand findings of a storm keep no critical one out
                messages = self._queue.receive(visibility=self._visibility, urgent_only=held >= self._window)
                errors = 0
            except ForensicsError as error:
                errors += 1
                log.warning("receiving failed (%s of %s in a row): %s", errors, RECEIVE_ERRORS, error)
                if errors >= RECEIVE_ERRORS or not error.retryable:
                    self._thread_error = error
                    return
                self._stop.wait(min(10.0, 0.5 * 2**errors))
                continue
            if messages:
                self._take(messages)
            elif held >= self._window:
                self._stop.wait(0.2)
            else:
                self._empty_since = self._empty_since or time.monotonic()
                self._stop.wait(0.1)

    def _take(self, messages: Sequence[Mapping[str, object]]) -> None:
        for raw in messages:
            received = ReceivedMessage.of(raw)
            message = InFlightMessage(received, self._handler.read(received.body, received.received_at))
            with self._lock:
                self._in_flight[received.receipt] = message
                self._empty_since = 0.0
            self._waiting.put(message, rank=message.result.rank)

    def _keep_hidden(self) -> None:
        while not self._stop.wait(self._visibility / 3):
            with self._lock:
                receipts = list(self._in_flight)
            try:
                refused = self._queue.hide(receipts, seconds=self._visibility)
            except ForensicsError as error:
                log.warning("%s messages may be delivered twice (harmless): %s", len(receipts), error)
                continue
            if refused:
                log.warning("%s messages may be delivered twice (harmless): %s", len(refused), refused[0])

    # ------------------------------------------------------------------ the admission threads
    def _admit_all(self) -> None:
        while not self._stop.is_set():
            message = self._waiting.get(timeout=0.1)
            if message is None:
                continue
            try:
                self._admit(message)
            except ForensicsError as error:
                self._failed(message, str(error), next_action=error.next_action)
            except Exception as error:
                # One message must not end the intake of all others, whatever is wrong with it.
                log.exception("message %s could not be processed", message.received.message_id)
                self._failed(message, f"{type(error).__name__}: {error}", next_action="report this as a defect")

    def _admit(self, message: InFlightMessage) -> None:
        result = message.result = self._handler.authenticate(message.result, message.received)
        if result.verdict is IntakeVerdict.QUARANTINE:
            self._quarantine(message, result.reason)
        elif result.heartbeat is not None:
            self._handler.heartbeat(result.heartbeat)
            self._count("heartbeats")
        elif result.verdict is IntakeVerdict.IGNORE and not result.without_instance:
            self._record(message, MessageOutcome.IGNORED, result.reason)
        orders: list[RunOrder] = []
        rejected = list(result.quarantined)
        for finding in result.findings:
            try:
                outcome, wanted = self._handler.admit(finding, message.received.received_at)
            except FindingError as error:
                rejected.append(f"{error}. {error.next_action}")
                continue
            self._count(outcome.value)
            orders += wanted
        rejected += self._answer(message)
        if rejected:
            # Some findings of the event are good and some are not: the good ones are processed, the event is kept.
            self._quarantine(message, "; ".join(rejected))
        with message.lock:
            message.open_orders = len(orders)
        for order in orders:
            self._orders.put((message, order), rank=order.rank)
        if not orders:
            self._finish(message)

    def _answer(self, message: InFlightMessage) -> list[str]:
        """Answer the message's findings that name no instance; returns what failed beside findings that have a case.

        Those must not wait for a message to people: the event is kept in the dead-letter queue, and told when it comes again.
        """
        items = message.result.without_instance
        if not items:
            return []
        try:
            answers = [self._handler.answer(item, message.received.received_at) for item in items]
        except ForensicsError as error:
            if not message.result.findings:
                raise
            return [f"people could not be told of findings without an instance: {error}. {error.next_action}"]
        announced = [a for a in answers if a.outcome is MessageOutcome.ANNOUNCED]
        shown = announced or answers
        self._record(
            message,
            shown[0].outcome,
            "; ".join(dict.fromkeys(a.reason for a in shown)),
            next_action="; ".join(dict.fromkeys(a.next_action for a in shown)),
        )
        return []

    def _order_done(self, message: InFlightMessage) -> None:
        with message.lock:
            message.open_orders -= 1
            finished = message.open_orders == 0
        if finished:
            self._finish(message)

    # ------------------------------------------------------------------ how a message ends
    def _finish(self, message: InFlightMessage) -> None:
        with self._lock:
            self._done.append(message)

    def _forget(self, messages: Sequence[InFlightMessage]) -> None:
        with self._lock:
            for message in messages:
                self._in_flight.pop(message.received.receipt, None)

    def _quarantine(self, message: InFlightMessage, reason: str) -> None:
        self._queue.quarantine(message.received.body, reason=reason)
        self._record(message, MessageOutcome.QUARANTINED, reason)

    def _failed(self, message: InFlightMessage, reason: str, *, next_action: str) -> None:
        """The message is tried again later; after its tries it goes to the dead-letter queue with the reason."""
        received = message.received
        log.error("message %s could not be processed: %s", received.message_id, reason)
        try:
            tries = self._handler.failures(received.message_id, received.received_at) + 1
            if tries >= TRIES:
                self._queue.quarantine(received.body, reason=reason, verdict="dead")
                action = f"{next_action}; then run finding_redrive"
                self._record(message, MessageOutcome.DEAD, reason, next_action=action, tries=tries)
                self._finish(message)
                return
            self._record(message, MessageOutcome.FAILED, reason, next_action=next_action, tries=tries)
            self._forget([message])
            self._queue.hide([received.receipt], seconds=BACKOFF[min(tries, len(BACKOFF) - 1)])
        except ForensicsError as error:
            log.error("and that could not be recorded; the message is delivered again by itself: %s", error)
            self._forget([message])

    def _record(
        self, message: InFlightMessage, outcome: MessageOutcome, reason: str, *, next_action: str = "", tries: int = 1
    ) -> None:
        self._count(outcome.value)
        self._handler.record(
            IntakeRecord(
                message_id=message.received.message_id,
                received_at=message.received.received_at,
                verdict=outcome,
                reason=reason[:2000],
                next_action=next_action[:2000],
                detail_type=message.result.detail_type,
                event_id=message.result.event_id,
                tries=tries,
            )
        )

    def _count(self, name: str) -> None:
        with self._lock:
            self.counts[name] += 1
