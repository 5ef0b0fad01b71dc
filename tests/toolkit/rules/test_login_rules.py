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


def test_who_fails_under_one_name_and_logs_in_under_another_is_less_grave() -> None:
    text = auth_log(failures=0) + "\n" + "\n".join(
        f"Mar  1 10:19:0{number} web sshd[{number}]: Failed password for root from 198.51.100.7 port 4{number} ssh2" for number in range(7)
    )  # fmt: skip
    assert [(finding.severity, finding.confidence) for finding in findings(text)] == [("high", "medium")]
    assert [f.severity for f in findings(text.replace("for admin", "for root"))] == ["critical"]


@pytest.mark.parametrize(("failures", "success", "expected"), [(4, True, []), (9, False, ["low"]), (0, True, [])])
def test_failures_without_a_success_have_low_severity_and_few_failures_none(
    failures: int, success: bool, expected: list[str]
) -> None:
    assert [finding.severity for finding in findings(auth_log(failures=failures, success=success))] == expected


def test_another_address_does_not_succeed_for_the_guesser() -> None:
    text = auth_log(failures=9, success=False) + "\n" + auth_log(failures=0, address="203.0.113.9")
    assert [finding.severity for finding in findings(text)] == ["low"]


def test_the_user_name_of_a_client_accuses_nobody() -> None:
    """``Failed password for invalid user <what the client sent> from <its address> port N ssh2`` (OpenSSH, auth.c)."""
    sent = "bob from 198.51.100.77 port 22 ssh2"
    text = "\n".join(
        f"Mar  1 10:00:{number:02d} web sshd-session[{number}]: Failed password for invalid user {sent} from 203.0.113.1 port 4{number:03d} ssh2"
        for number in range(6)
    )
    (finding,) = findings(text)
    assert "203.0.113.1" in finding.title and "198.51.100.77" not in finding.title
    assert finding.data["users"] == [sent]


def test_folded_lines_count_as_often_as_they_say() -> None:
    """rsyslog's form with ``$RepeatedMsgReduction on``, as Ubuntu delivers it."""
    text = (
        "Mar  1 10:00:00 web sshd[7]: Failed password for root from 203.0.113.1 port 4000 ssh2\n"
        "Mar  1 10:03:00 web sshd[7]: message repeated 19 times: [ Failed password for root from 203.0.113.1 port 4000 ssh2]\n"
        "Mar  1 10:04:00 web sshd[8]: Accepted password for root from 203.0.113.1 port 4001 ssh2"
    )
    (finding,) = findings(text)
    assert (finding.severity, finding.data["failed"]) == ("critical", 20)


def test_slow_guessing_counts_failures_in_a_row() -> None:
    def line(hour: int, words: str) -> str:
        return f"Mar  1 {hour:02d}:00:00 web sshd[7]: {words} for admin from 203.0.113.1 port 4{hour:03d} ssh2"

    slow = "\n".join([*(line(hour, "Failed password") for hour in range(11)), line(20, "Accepted password")])
    assert [finding.severity for finding in findings(slow)] == ["critical"]
    forgetful = "\n".join(line(hour, "Failed password" if hour % 2 else "Accepted password") for hour in range(22))
    assert findings(forgetful) == [], "failures between log-ins are typing errors"


def test_guessing_from_many_addresses() -> None:
    noise = "\n".join(
        f"Mar  1 10:{number // 60:02d}:{number % 60:02d} web sshd[{number}]: Failed password for root from 203.0.113.{number % 250} port 4{number:04d} ssh2"
        for number in range(500)
    )
    (wave,) = findings(noise)
    assert (wave.severity, wave.technique) == ("low", "T1110.003") and "250 addresses" in wave.title
    guessed = noise + "\nMar  1 10:20:00 web sshd[9]: Accepted password for root from 203.0.113.77 port 5 ssh2"
    assert [finding.severity for finding in findings(guessed)] == ["critical", "low"]
    by_key = (
        noise
        + "\nMar  1 10:20:00 web sshd[9]: Accepted publickey for root from 192.0.2.7 port 5 ssh2: ED25519 SHA256:x"
    )
    assert [finding.severity for finding in findings(by_key)] == ["low"]


def test_clients_without_a_password_count_once_for_each_connection() -> None:
    text = "\n".join(
        f"Mar  1 10:00:{number:02d} web sshd[{number}]: Connection closed by authenticating user root 203.0.113.1 port 4{number:03d} [preauth]"
        for number in range(6)
    )
    (finding,) = findings(text)
    assert finding.data["failed"] == 6


def day(number: int, clock: str, words: str, user: str = "admin") -> str:
    """A line of sshd about one address."""
    return f"Feb {number:2} {clock} web sshd[7]: {words} for {user} from 198.51.100.7 port 4{number:03d} ssh2"


def test_a_log_in_is_guessed_after_its_own_burst_and_not_after_one_of_last_month() -> None:
    """A host of CentOS 6: five failures in November, and one mistyped password in December."""
    burst = [day(1, f"10:00:0{second}", "Failed password", "root") for second in range(6)]
    later = [day(25, "10:00:00", "Failed password"), day(25, "10:00:09", "Accepted password")]
    (found,) = findings("\n".join([*burst, *later]))
    assert (found.severity, found.title) == ("low", "Password guessing from 198.51.100.7, without success")
    at_once = [day(1, "10:30:00", "Failed password"), day(1, "10:30:09", "Accepted password")]
    assert [f.severity for f in findings("\n".join([*burst, *at_once]))] == ["critical"]


@pytest.mark.parametrize(("failures", "expected"), [(5, "medium"), (19, "medium"), (20, "critical"), (60, "critical")])
def test_some_failures_where_the_user_was_at_home_are_mistyped_and_many_are_not(failures: int, expected: str) -> None:
    before = day(1, "10:00:00", "Accepted password")
    failed = [day(2, f"10:{number // 60:02}:{number % 60:02}", "Failed password") for number in range(failures)]
    rows = [before, *failed, day(2, "10:05:00", "Accepted password")]
    (found,) = findings("\n".join(rows))
    assert found.severity == expected
    assert ("198.51.100.7" in login_rules.guessers([found])) is (expected == "critical")
    # another user was never there
    (found,) = findings("\n".join([before, *failed, day(2, "10:05:00", "Accepted password", "root")]))
    assert found.severity in ("high", "critical")


def test_a_guess_is_named_although_somebody_mistyped_before_it() -> None:
    rows = [day(1, "10:00:00", "Accepted password")]
    rows += [day(2, f"10:00:0{number}", "Failed password") for number in range(6)] + [
        day(2, "10:01:00", "Accepted password")
    ]
    rows += [day(3, f"10:00:0{number}", "Failed password", "root") for number in range(6)] + [
        day(3, "10:01:00", "Accepted password", "root")
    ]
    (found,) = findings("\n".join(rows))
    assert (found.severity, found.data["accepted_user"]) == ("critical", "root")


def test_a_key_after_failures_is_no_guessed_password() -> None:
    """Seen on an EC2 host that takes keys only: its owner tried two names, then the key fitted."""
    tried = auth_log(failures=7, success=False)
    (found,) = findings(
        f"{tried}\nMar  1 10:01:00 web sshd[9]: Accepted publickey for admin from 198.51.100.7 port 5 ssh2"
    )
    assert found.title.startswith("Log-in with a key from an address that guessed passwords: admin")
    assert (found.severity, found.technique) == ("medium", "T1078")


def test_a_key_after_very_many_failures_is_grave_unless_its_owner_was_there_before() -> None:
    key = "sshd[9]: Accepted publickey for admin from 198.51.100.7 port 5 ssh2"
    after = f"{auth_log(failures=login_rules.MANY, success=False)}\nMar  1 10:20:00 web {key}"
    assert [item.severity for item in findings(after)] == ["high"]
    assert [item.severity for item in findings(f"Mar  1 09:00:00 web {key}\n{after}")] == ["medium"]
