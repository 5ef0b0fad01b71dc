"""Log-in attempts of sshd, and the utmp records of wtmp."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo

import pytest

from forensic_toolkit.readers import login_logs, system_logs
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.readers.log_stream import LogFile
from forensic_toolkit.readers.system_logs import Line
from tests.toolkit.fake_tree import Builder

MODIFIED = datetime(2026, 3, 2, tzinfo=UTC)


def auth_log(*, failures: int, address: str = "198.51.100.7", success: bool = True) -> str:
    """An attack at one attempt every 5 seconds."""
    lines = [
        f"Mar  1 10:{number * 5 // 60:02d}:{number * 5 % 60:02d} web sshd[{number}]: Failed password for "
        f"invalid user u{number} from {address} port 4{number:04d} ssh2"
        for number in range(failures)
    ]
    if success:
        lines.append(f"Mar  1 10:20:00 web sshd[999]: Accepted password for admin from {address} port 50000 ssh2")
    return "\n".join(lines)


def lines(text: str, *, zone: tzinfo = UTC) -> list[Line]:
    """The lines of a log that was last written at MODIFIED."""
    return list(system_logs.parse(text, artifact=Artifact("x", "/var/log/secure", 1), modified=MODIFIED, zone=zone))


def utmp(kind: int, user: str, host: str, seconds: int) -> bytes:
    """One record of glibc's struct utmp."""
    head = struct.pack("<hxxi32s4s32s256s", kind, 42, b"pts/0", b"ts/0", user.encode(), host.encode())
    record = head + struct.pack("<hhiii16s20x", 0, 0, 0, seconds, 250_000, bytes((198, 51, 100, 7)) + bytes(12))
    assert len(record) == 384
    return record


def test_a_line_that_a_collector_wrote_again_is_the_same_log_in() -> None:
    """Collectors put further spaces behind the program's tag (the forms of plaso's test data for syslog, syslog_ssh.log)."""
    text = "\n".join(
        f"Mar  1 10:00:0{number} web sshd[3]:{' ' * number}{what} 192.0.2.60 port 2004{number} ssh2"
        for number, what in enumerate(("Accepted publickey for fred from", "Failed password for root from"), start=1)
    )
    found = [(login.accepted, login.user, login.address) for login in login_logs.attempts(lines(text))]
    assert found == [(True, "fred", "192.0.2.60"), (False, "root", "192.0.2.60")]


def test_utmp_records() -> None:
    content = utmp(7, "admin", "", 1_767_323_045) + utmp(2, "reboot", "6.1.0", 1_767_320_000) + bytes(384) + b"cut"
    sessions = login_logs.sessions(content)
    found = list(login_logs.session_events(sessions, source="/var/log/wtmp", failed=False))
    assert [event.what for event in found] == ["Log-in: admin from 198.51.100.7 on pts/0", "System booted"]
    assert found[0].time.isoformat() == "2026-01-02T03:04:05.250000+00:00"
    assert login_logs.records_in(content) == (2, "3 bytes at its end are an incomplete record")


def test_utmp_records_of_arm64() -> None:
    head = struct.pack("<hxxi32s4s32s256s", 7, 42, b"pts/0", b"ts/0", b"ec2-user", b"198.51.100.7")
    content = (head + struct.pack("<hhqqq16s20x4x", 0, 0, 0, 1_767_323_045, 250_000, bytes(16))) * 24
    assert len(content) == 9600  # a whole number of records of either form
    found = list(login_logs.sessions(content))
    assert len(found) == 24
    assert (found[0].user, found[0].time.isoformat()) == ("ec2-user", "2026-01-02T03:04:05.250000+00:00")


def test_lines_that_rsyslog_copied_from_the_journal_count_once() -> None:
    first = list(login_logs.attempts(lines(auth_log(failures=2))))
    copy = [replace(login, time=login.time + timedelta(milliseconds=300), source="journal") for login in first]
    other = replace(copy[0], port=1)
    assert login_logs.without_copies(first, [*copy, other]) == [*first, other]


def test_records_of_a_large_file_come_in_parts_the_newest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_logs, "_RECORDS_AT_ONCE", 4)
    content = b"".join(utmp(7, f"u{number}", "198.51.100.7", 1_767_000_000 + number) for number in range(10)) + b"cut"
    entry = next(Builder().add("/var/log/btmp", content).tree().files("/var/log/btmp"))
    log = LogFile(entry)
    parts = [(count, [session.user for session in found]) for count, found in login_logs.records(log)]
    assert parts == [(4, ["u6", "u7", "u8", "u9"]), (4, ["u2", "u3", "u4", "u5"]), (2, ["u0", "u1"])]
    assert log.problems == ["3 bytes at its end are an incomplete record"]
