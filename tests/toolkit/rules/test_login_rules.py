"""Passwords guessed, by sshd's lines."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo

import pytest

from forensic_toolkit.readers import login_logs, system_logs
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.readers.system_logs import Line
from forensic_toolkit.results import Finding
from forensic_toolkit.rules import login_rules

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


def findings(text: str) -> list[Finding]:
    """Findings of a log."""
    logins = list(login_logs.attempts(lines(text)))
    return list(login_rules.guessing(logins))


def test_failures_then_success_is_a_guessed_password() -> None:
    (finding,) = findings(auth_log(failures=6))
    assert (finding.severity, finding.technique) == ("critical", "T1110")
    assert finding.time == datetime(2026, 3, 1, 10, 20, tzinfo=UTC)
    assert finding.data["failed"] == 6


@pytest.mark.parametrize(("failures", "success", "expected"), [(4, True, []), (9, False, ["low"]), (0, True, [])])
def test_failures_without_a_success_have_low_severity_and_few_failures_none(
    failures: int, success: bool, expected: list[str]
) -> None:
    assert [finding.severity for finding in findings(auth_log(failures=failures, success=success))] == expected


def test_another_address_does_not_succeed_for_the_guesser() -> None:
    text = auth_log(failures=9, success=False) + "\n" + auth_log(failures=0, address="203.0.113.9")
    assert [finding.severity for finding in findings(text)] == ["low"]
