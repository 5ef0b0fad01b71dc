"""The wait for findings: counts first, a peek now and then."""

from __future__ import annotations

import pytest

from forensics.aws.sqs import FindingQueue
from forensics.intake.triggers import QueueDepthTrigger

pytestmark = pytest.mark.usefixtures("settings_environment")


class Queue(FindingQueue):
    """A queue whose counts may be late."""

    def __init__(self, *, counted: int, there: int) -> None:
        self.counted, self.there, self.peeks = counted, there, 0

    def depth(self) -> int:
        return self.counted

    def peek(self) -> int:
        self.peeks += 1
        return self.there


def looks(monkeypatch: pytest.MonkeyPatch, queue: Queue, number: int) -> list[object]:
    monkeypatch.setattr(FindingQueue, "of", lambda session, settings: queue)
    trigger = QueueDepthTrigger(poll=1.0, deadline=0.0)
    return [result and result.payload for result in (trigger.check() for _ in range(number))]


def test_visible_messages_end_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(counted=3, there=3)
    assert looks(monkeypatch, queue, 1) == [{"depth": 3}]
    assert queue.peeks == 0


def test_counts_that_are_late_are_made_up_for_by_every_fourth_look(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(counted=0, there=1)
    assert looks(monkeypatch, queue, 4) == [None, None, None, {"depth": 1}]


def test_an_empty_queue_is_peeked_at_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Queue(counted=0, there=0)
    assert looks(monkeypatch, queue, 8) == [None] * 8
    assert queue.peeks == 2


def test_it_is_rebuilt_from_what_it_serialises() -> None:
    path, arguments = QueueDepthTrigger(poll=2.0, deadline=5.0).serialize()
    assert path == "forensics.intake.triggers.QueueDepthTrigger"
    again = QueueDepthTrigger(**arguments)
    assert (again.poll, again.deadline, again.ends_task) == (2.0, 5.0, False)
