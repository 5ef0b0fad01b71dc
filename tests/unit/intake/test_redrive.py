"""Which dead letters go back, and in which order they are moved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forensics.aws.sqs import FindingQueue
from forensics.intake.redrive import RedriveCounts, redrive
from tests.unit.builders import NOW


class DeadLetters(FindingQueue):
    """A dead-letter queue in memory; each message is received once."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.waiting = list(messages)
        self.moved: list[str] = []

    def receive_dead(self, *, visibility: int) -> list[dict[str, Any]]:
        assert visibility == 60
        taken, self.waiting = self.waiting[:10], self.waiting[10:]
        return taken

    def redrive(self, message: Any) -> None:
        self.moved.append(message["Body"])


def letter(body: str, *, verdict: str | None = "dead", age: int = 60) -> dict[str, Any]:
    """A message that was sent to the queue ``age`` seconds ago."""
    sent = (NOW - timedelta(seconds=age)).timestamp() * 1000
    attributes = {"verdict": {"StringValue": verdict}} if verdict else {}
    return {"Body": body, "Attributes": {"SentTimestamp": str(int(sent))}, "MessageAttributes": attributes}


@pytest.mark.parametrize(
    ("quarantined", "moved"), [(False, ["dead", "by sqs"]), (True, ["dead", "malformed", "by sqs"])]
)
def test_malformed_messages_stay_unless_asked_for(quarantined: bool, moved: list[str]) -> None:
    queue = DeadLetters(letter("dead"), letter("malformed", verdict="quarantine"), letter("by sqs", verdict=None))
    counts = redrive(queue, limit=100, quarantined=quarantined, began=NOW)
    assert queue.moved == moved
    assert counts == RedriveCounts(moved=len(moved), left=3 - len(moved))


def test_a_message_without_attributes_goes_back() -> None:
    message = letter("by sqs")
    del message["MessageAttributes"]
    queue = DeadLetters(message)
    assert redrive(queue, limit=1, quarantined=False, began=NOW) == RedriveCounts(moved=1, left=0)


def test_what_arrives_meanwhile_is_left() -> None:
    queue = DeadLetters(letter("old"), letter("new", age=-1))
    assert redrive(queue, limit=100, quarantined=True, began=NOW) == RedriveCounts(moved=1, left=1)
    assert queue.moved == ["old"]


def test_no_more_than_the_limit_are_moved_and_no_further_batch_is_taken() -> None:
    queue = DeadLetters(*(letter(str(n)) for n in range(25)))
    assert redrive(queue, limit=5, quarantined=False, began=NOW) == RedriveCounts(moved=5, left=5)
    assert len(queue.waiting) == 15
