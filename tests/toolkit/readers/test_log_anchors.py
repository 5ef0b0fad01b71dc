"""Until when a log without years was written, on trees whose modification times are those of a copy and on rotations named by their day.

Found on four EC2 hosts that public repositories keep whole: their ``secure`` of 2016, 2019 and 2021 was dated in the years of the copy.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest

from forensic_toolkit.readers import log_anchors, system_logs
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from tests.toolkit.fake_tree import Builder

COPIED = datetime(2026, 12, 1, 3, 48, tzinfo=UTC)
LINE = "Feb 24 02:34:45 web sshd[14633]: Accepted publickey for ec2-user from 203.0.113.9 port 34560 ssh2\n"


def copied(**files: bytes) -> Builder:
    """A system of which every file was written when it was copied."""
    builder = Builder()
    for number in range(5 * log_anchors._ENOUGH):
        builder.add(f"/usr/share/doc/file-{number}", b"text", born=COPIED)
    for path, content in files.items():
        builder.add(path.replace("__", "/"), content, born=COPIED)
    return builder


def times(builder: Builder) -> tuple[list[datetime], list[str]]:
    """The times of all lines, and what is said to be missing."""
    results = Results("fc-20260101-0123456789", "disk-1", "disk", COPIED)
    logs = system_logs.read(builder.tree(), coverage=Coverage(), results=results)
    return sorted(line.time for line in logs.all()), [what for what, _ in results.gaps]


ANCHORS = {
    "audit record": {"__var__log__audit__audit.log": b"type=LOGIN msg=audit(1551000000.123:1): pid=1\n"},
    "rotation": {"__var__log__messages-20190224": b""},
    "log-in record": {"__var__log__wtmp": bytes(340) + struct.pack("<i", 1_551_000_000) + bytes(40)},
    "package log": {"__var__log__dpkg.log": b"2019-02-24 02:00:00 status installed x\n"},
    "journal": {"__var__log__journal__a__system.journal": b"LPKSHHRH" + bytes(184) + struct.pack("<Q", 1_551_000_000_000_000) + bytes(56)},
}  # fmt: skip


@pytest.mark.parametrize("kind", ANCHORS)
def test_on_a_copied_tree_the_newest_time_that_is_written_out_counts(kind: str) -> None:
    found, gaps = times(copied(__var__log__secure=LINE.encode(), **ANCHORS[kind]))
    assert found == [datetime(2019, 2, 24, 2, 34, 45, tzinfo=UTC)] and "times of logs without years" not in gaps


def test_a_copied_tree_without_such_a_time_says_that_its_years_are_guessed() -> None:
    found, gaps = times(copied(__var__log__secure=LINE.encode()))
    assert [time.year for time in found] == [2026] and "times of logs without years" in gaps


def test_a_tree_that_grew_keeps_its_modification_times() -> None:
    builder = Builder()
    for number in range(5 * log_anchors._ENOUGH):
        builder.add(
            f"/usr/share/doc/file-{number}", b"x", born=datetime(2019 + number % 7, 1, 1 + number % 28, tzinfo=UTC)
        )
    builder.add("/var/log/audit/audit.log", b"type=LOGIN msg=audit(1551000000.123:1): pid=1\n", born=COPIED)
    found, gaps = times(builder.add("/var/log/secure", LINE.encode(), born=COPIED))
    assert [time.year for time in found] == [2026] and gaps == []


def test_a_rotation_ends_on_the_day_in_its_name_and_numbers_count_up() -> None:
    assert log_anchors.named_day("/var/log/secure-20161225") == datetime(2016, 12, 26, tzinfo=UTC)
    assert log_anchors.named_day("/var/log/messages-20161332.gz") is None
    builder = Builder().add("/var/log/secure", b"", born=COPIED)
    for name in ("secure-20161219", "secure-20161225", "secure.10", "secure.2"):
        builder.add(f"/var/log/{name}", b"x", born=COPIED)
    (family,) = system_logs._families(builder.tree().files(r"/var/log/secure.*"))
    assert [entry.name for entry in family] == ["secure", "secure.2", "secure.10", "secure-20161225", "secure-20161219"]


def test_a_clock_that_went_back_within_a_rotation_makes_no_line_a_year_older() -> None:
    """The host's clock jumped from the 24th to the 22nd: a year earlier the lines would be older than their file."""
    line = "Dec {day} 10:00:00 web sshd[1]: Accepted password for ygh from 192.0.2.1 port 1 ssh2\n"
    newer = "".join(line.format(day=day) for day in (23, 24, 22))
    builder = copied(
        **{"__var__log__secure-20161219": line.format(day=18).encode(), "__var__log__secure-20161225": newer.encode()}
    )
    found, _ = times(builder)
    assert {time.year for time in found} == {2016} and len(found) == 4
