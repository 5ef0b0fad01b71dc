"""Lines of text logs."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import ClassVar

import pytest

from forensic_toolkit.filesystems.entries import Entry, Times
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import log_stream, system_logs
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.readers.system_logs import Line
from forensic_toolkit.results import Results
from forensic_toolkit.time_limits import OutOfTimeError
from tests.toolkit.fake_tree import Builder

MODIFIED = datetime(2026, 3, 2, tzinfo=UTC)


def lines(text: str, *, zone: tzinfo = UTC) -> list[Line]:
    """The lines of a log that was last written at MODIFIED."""
    return list(system_logs.parse(text, artifact=Artifact("x", "/var/log/secure", 1), modified=MODIFIED, zone=zone))


def test_lines_without_offset_are_in_the_systems_zone() -> None:
    (line,) = lines("Mar  1 10:20:00 web sshd[9]: x", zone=timezone(timedelta(hours=2)))
    assert line.time == datetime(2026, 3, 1, 8, 20, tzinfo=UTC)
    assert (line.host, line.program, line.pid, line.message) == ("web", "sshd", "9", "x")


def test_forms_of_lines() -> None:
    text = (
        "2026-03-01 10:00:00 web sshd[7]: a\n"
        '<86>1 2026-03-01T10:00:01.5Z web sshd 7 - [x y="\\]"] b: c\n'
        "Mar  1 10:00:02 kernel: [ 1.0] module verification failed\n"
        "Mar  1 10:00:03 web sudo: kim : COMMAND=/bin/sh\n"
        "<38>Mar  1 10:00:04 web CRON[9]: d\n"
    )
    found = [(line.host, line.program, line.pid, line.message) for line in lines(text)]
    assert found == [
        ("web", "sshd", "7", "a"),
        ("web", "sshd", "7", "b: c"),
        ("", "kernel", "", "[ 1.0] module verification failed"),
        ("web", "sudo", "", "kim : COMMAND=/bin/sh"),
        ("web", "CRON", "9", "d"),
    ]
    assert lines(text)[1].text == "2026-03-01T10:00:01.5Z web sshd[7]: b: c"


def test_a_repetition_carries_what_was_repeated() -> None:
    first, again = lines(
        "Mar  1 10:00:00 web sshd[7]: Failed password for root\nMar  1 10:00:09 web last message repeated 3 times\n"
    )
    assert (again.program, again.pid, again.time.second) == ("sshd", "7", 9)
    assert again.text.endswith("web sshd[7]: message repeated 3 times: [ Failed password for root]")
    assert first.message == "Failed password for root"


def test_a_line_without_a_certain_time_is_counted() -> None:
    artifact = Artifact("x", "/var/log/secure", 1)
    found = list(
        system_logs.parse(
            "Mar  1 10:00:00 h a: b\nno time\nFeb 30 10:00:00 h a: b\n", artifact=artifact, modified=MODIFIED
        )
    )
    assert len(found) == artifact.parsed == 1
    assert artifact.lines == 3


def _tree(folder: Path, files: dict[str, bytes]) -> Tree:
    class Files:
        problems: ClassVar[list[str]] = []
        current = True

        def read(self, inode: int, *, limit: int, offset: int = 0) -> bytes:
            return list(files.values())[inode][offset : offset + limit]

    when = int(MODIFIED.timestamp()) * 1_000_000_000
    return Tree(
        Entry(
            path,
            inode,
            "REG",
            0o100644,
            0,
            0,
            len(body),
            Times(when - inode * 86_400 * 10**9),
            False,
            filesystem=Files(),
        )  # type: ignore[arg-type]
        for inode, (path, body) in enumerate(files.items())
    )


def _results() -> Results:
    return Results("fc-20260101-0123456789", "disk-1", "disk", started=MODIFIED)


def test_rotations_are_one_log(tmp_path: Path) -> None:
    files = {
        "/var/log/auth.log": b"Jan  3 10:00:00 h a: newest\n",
        "/var/log/auth.log.1": b"Dec 30 10:00:00 h a: older\nJan  1 10:00:00 h a: new year\n",
        "/var/log/auth.log.2.gz": gzip.compress(b"Feb  1 10:00:00 h a: oldest\nDec 29 10:00:00 h a: old\n"),
    }
    coverage = Coverage()
    logs = system_logs.read(_tree(tmp_path, files), coverage=coverage, results=_results())
    years = {line.message: line.time.year for line in logs.lines[system_logs.AUTH]}
    assert years == {"newest": 2026, "older": 2025, "new year": 2026, "oldest": 2025, "old": 2025}
    assert [artifact.parsed for artifact in coverage.artifacts] == [1, 2, 2]


def test_a_huge_log_keeps_the_newest_lines_and_of_old_ones_what_matters(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(system_logs, "KEPT", 100)
    monkeypatch.setattr(log_stream, "BLOCK", 4096)
    rows = ["Jan  1 00:00:00 h sshd[1]: Accepted password for early from 198.51.100.1 port 1 ssh2"]
    for number in range(6000):
        clock = f"Jan {number // 400 + 1:2} {number % 400 // 60 + 1:02}:{number % 60:02}:00"
        rows.append(f"{clock} h sshd[1]: Failed password for root from 203.0.113.{number % 3} port 1 ssh2")
        if number == 3000:
            rows.append(f"{clock} h useradd[2]: new user: name=middle, UID=0, GID=0")
    rows.append("Mar  1 10:00:00 h sshd[1]: Accepted password for late from 203.0.113.1 port 1 ssh2")
    coverage, results = Coverage(), _results()
    body = ("\n".join(rows) + "\n").encode()
    logs = system_logs.read(_tree(tmp_path, {"/var/log/auth.log": body}), coverage=coverage, results=results)
    kept = logs.lines[system_logs.AUTH]
    assert kept[0].message.startswith("Accepted password for late")  # the newest comes first
    assert sum("for early" in line.message for line in kept) == 1
    assert sum("name=middle" in line.message for line in kept) == 1
    assert len(kept) < 400
    (artifact,) = coverage.artifacts
    assert artifact.lines == artifact.parsed == len(rows)
    assert "were only counted" in str(results.notes)
    assert results.gaps == []


def test_a_log_that_is_stopped_keeps_its_newest_part_and_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(log_stream, "BLOCK", 1024)
    body = "".join(f"Jan  1 00:{number // 60:02}:{number % 60:02} h a: {number}\n" for number in range(1000)).encode()
    tree = _tree(tmp_path, {"/var/log/auth.log": body, "/var/log/messages": b"Mar  1 10:00:00 h a: other\n"})
    logs, coverage, results = system_logs.SystemLogs(), Coverage(), _results()
    first, second = system_logs.readings(tree, logs=logs, coverage=coverage, results=results)
    blocks = log_stream.LogFile.blocks

    def stopping(log: log_stream.LogFile) -> Iterator[list[bytes]]:
        for number, block in enumerate(blocks(log)):
            if number == 3:
                raise OutOfTimeError(1.0, whole=False)
            yield block

    monkeypatch.setattr(log_stream.LogFile, "blocks", stopping)
    with pytest.raises(OutOfTimeError):
        first.run()
    monkeypatch.setattr(log_stream.LogFile, "blocks", blocks)
    second.run()
    assert logs.lines[system_logs.AUTH][0].message == "999"
    assert [line.message for line in logs.lines[system_logs.SYSTEM]] == ["other"]
    assert any("the reading was stopped" in why for why in coverage.artifacts[0].shortfalls())


def _tzif(rule: str) -> bytes:
    """A zone file of RFC 9636 (TZif), version 2: one type, no transitions, the rule in the footer."""
    block = struct.pack(">5s15x6I", b"TZif2", 0, 0, 0, 0, 1, 4) + struct.pack(">iBB", 3600, 0, 0) + b"CET\0"
    return block + block + f"\n{rule}\n".encode()


BERLIN = _tzif("CET-1CEST,M3.5.0,M10.5.0/3")


@pytest.mark.parametrize(
    ("builder", "gap"),
    [
        (Builder().add("/etc/localtime", BERLIN), False),
        (
            Builder()
            .add("/etc/localtime", link="../usr/share/zoneinfo/Here/There")
            .add("/usr/share/zoneinfo/Here/There", BERLIN),
            False,
        ),
        (Builder().add("/etc/localtime", b"TZif2 damaged"), True),
        (Builder().add("/etc/localtime", link="/usr/share/zoneinfo/No/Such"), True),
        (Builder(), False),
    ],
)
def test_the_zone_is_the_systems_own_file(builder: Builder, gap: bool) -> None:
    """A copy of a zone file instead of a link, and zones that the forensic instance does not know."""
    results = _results()
    tree = builder.tree()
    zone = system_logs._zone(tree, results=results)
    local = [datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=zone).astimezone(UTC) for fold in (0, 1)]
    known = tree.get("/etc/localtime") is not None and not gap
    hours = (0, 1) if known else (2, 2)
    assert [moment.hour for moment in local] == list(hours)
    assert [what for what, _ in results.gaps] == (["time zone"] if gap else [])
