"""A snapshot with a case's tags is the case's only when everything that EC2 says of it fits what was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from forensics.aws.ebs import Snapshot
from forensics.disk.snapshot_rules import CLOCKS, why_foreign
from forensics.naming import tags

ASKED = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
TAGS = tags("fc-1", "evidence-snapshot", instance="i-1")
OWN = Snapshot(
    id="snap-1",
    volume_id="vol-1",
    state="pending",
    description="of case fc-1",
    started_at=ASKED + timedelta(seconds=2),
    tags={**{t["Key"]: t["Value"] for t in TAGS}, "aws:other": "x"},
)


def why(snapshot: Snapshot, volumes: set[str] | None = frozenset({"vol-1"})) -> str | None:  # type: ignore[assignment]
    """What the rule says."""
    return why_foreign(snapshot, ASKED, description="of case fc-1", tags=TAGS, volumes=volumes)


def test_what_was_asked_for_is_the_cases() -> None:
    assert why(OWN) is None
    assert why(OWN.model_copy(update={"started_at": ASKED - CLOCKS})) is None, "clocks differ"
    assert why(OWN.model_copy(update={"volume_id": "vol-ffffffff"}), volumes=None) is None, "a copy names no volume"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"started_at": ASKED - timedelta(hours=1)}, "it was begun at 2026-11-24 07:00:00Z, before"),
        ({"description": "Created by CreateImage"}, "its description is 'Created by CreateImage'"),
        ({"tags": {**OWN.tags, "forensics:instance": "i-2"}}, "its tags differ: forensics:instance"),
        ({"tags": {}}, "its tags differ: Name, forensics:case"),
        ({"volume_id": "vol-9"}, "it is of vol-9, which is none of the target's"),
    ],
)
def test_what_does_not_fit_is_anothers(changes: dict[str, object], reason: str) -> None:
    assert str(why(OWN.model_copy(update=changes))).startswith(reason)
