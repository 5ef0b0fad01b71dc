"""Moving findings from the dead-letter queue back to the queue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from forensics.aws.sqs import FindingQueue

HIDDEN_SECONDS = 60


@dataclass(frozen=True)
class RedriveCounts:
    """How many messages were moved, and how many were left where they are."""

    moved: int
    left: int


def redrive(queue: FindingQueue, *, limit: int, quarantined: bool, began: datetime) -> RedriveCounts:
    """Move at most ``limit`` messages back, each sent before it is deleted.

    Messages that arrived after ``began`` are left, and so are malformed ones unless ``quarantined``; what is left is
    hidden for a minute.
    """
    moved = left = 0
    while moved < limit:
        messages = queue.receive_dead(visibility=HIDDEN_SECONDS)
        if not messages:
            break
        for message in messages:
            if moved < limit and _wanted(message, quarantined=quarantined, began=began):
                queue.redrive(message)
                moved += 1
            else:
                left += 1
    return RedriveCounts(moved, left)


def _wanted(message: Mapping[str, object], *, quarantined: bool, began: datetime) -> bool:
    sent = _member(message.get("Attributes"), "SentTimestamp")
    if float(str(sent)) > began.timestamp() * 1000:
        return False
    return quarantined or _member(_member(message.get("MessageAttributes"), "verdict"), "StringValue") != "quarantine"


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, Mapping) else None
