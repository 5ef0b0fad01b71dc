"""The coverage gate: shortfalls by numbers worked out by hand from the limits in the module."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from forensic_toolkit.filesystems.entries import Identity
from forensic_toolkit.readers.coverage import Artifact, Coverage, far_too_little, unreached
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("size", "lines", "parsed", "says"),
    [
        (0, 0, 0, []),
        (100, 10, 8, []),
        (100, 10, 7, ["7 of 10 lines were parsed"]),
        (100, 0, 0, ["100 bytes without a single line or record"]),
    ],
)
def test_more_than_a_fifth_of_unparsed_lines_is_a_shortfall(
    size: int, lines: int, parsed: int, says: list[str]
) -> None:
    assert Artifact("log", "/var/log/x", size, lines=lines, parsed=parsed).shortfalls() == says


@pytest.mark.parametrize(
    ("offset", "flagged"),
    [
        (timedelta(hours=-5), True),
        (timedelta(hours=5, minutes=30), True),
        (timedelta(minutes=-5), False),
        (timedelta(seconds=80), False),
        (timedelta(hours=15), False),
    ],
)
def test_a_last_line_off_by_half_hours_is_another_time_zone(offset: timedelta, flagged: bool) -> None:
    artifact = Artifact("log", "/var/log/x", 100, lines=2, modified=NOON)
    artifact.understood(NOON + offset - timedelta(minutes=3))
    artifact.understood(NOON + offset)
    assert bool(artifact.shortfalls()) is flagged
    assert (artifact.first, artifact.last) == (NOON + offset - timedelta(minutes=3), NOON + offset)


def test_shortfalls_become_gaps_and_every_artifact_is_in_the_results() -> None:
    coverage = Coverage()
    good = coverage.add(Artifact("log", "/var/log/good", 5, lines=1))
    good.understood(NOON)
    coverage.add(Artifact("log", "/var/log/bad", 5))
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    coverage.report(results)
    assert [what for what, _why in results.gaps] == ["coverage: /var/log/bad"]
    assert [item["path"] for item in results.coverage] == ["/var/log/good", "/var/log/bad"]
    assert results.coverage[0]["first"] == "2026-01-02T12:00:00Z"
    assert coverage.parsed("log") == 1 and coverage.parsed("journal") == 0


def test_a_walk_that_misses_a_directory_is_flagged() -> None:
    # 5 % of 10,000 inodes is 500, of 100 it is less than the 64 that a superblock may lag.
    assert unreached(Identity(used_inodes=10_000), walked=9_500) is None
    assert "9499 of 10000" in str(unreached(Identity(used_inodes=10_000), walked=9_499))
    assert unreached(Identity(used_inodes=100), walked=36) is None
    assert unreached(Identity(used_inodes=100), walked=35) is not None
    assert unreached(Identity(), walked=0) is None


def test_half_of_the_records_is_enough_for_a_second_tool() -> None:
    assert far_too_little("plaso", rows=5, present=10, what="lines") is None
    assert far_too_little("plaso", rows=0, present=0, what="lines") is None
    said = far_too_little("plaso", rows=4, present=10, what="lines")
    assert said == "plaso succeeded but gave 4 records; there are 10 lines"
