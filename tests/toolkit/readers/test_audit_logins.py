"""Log-ins in the audit log: the records of real hosts (their order, operations and fields), with other names, addresses and numbers."""

from __future__ import annotations

import pytest

from forensic_toolkit.readers import audit_log, audit_logins, login_logs
from forensic_toolkit.readers.audit_logins import AuditLogins
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.readers.login_logs import UNKNOWN_USER, Login
from forensic_toolkit.results import Results
from forensic_toolkit.rules import log_rules, login_rules
from forensic_toolkit.times import now
from tests.toolkit.fake_tree import Builder

NOBODY, INVALID = "28756E6B6E6F776E207573657229", "28696E76616C6964207573657229"


def record(
    at: float,
    kind: str,
    what: str,
    *,
    pid: int = 923,
    ses: str = "4294967295",
    good: bool = True,
    address: str = "203.0.113.9",
) -> str:
    """One record of sshd."""
    return (
        f"type={kind} msg=audit({1_780_000_000 + at:.3f}:{round(at * 1000)}): pid={pid} uid=0 auid=4294967295 ses={ses} "
        f'subj=system_u:system_r:sshd_t:s0-s0:c0.c1023 msg=\'{what} exe="/usr/sbin/sshd" hostname=? addr={address} '
        f"terminal=ssh res={'success' if good else 'failed'}'"
    )


def logins(lines: list[str]) -> list[Login]:
    """What the records say, whichever part of the log is read first."""
    found = []
    for order in (1, -1):
        gathered = AuditLogins(source="audit.log", names={"0": "root", "1000": "deploy"})
        for event in list(audit_log.events(lines, artifact=Artifact("audit log", "audit.log", 1)))[::order]:
            gathered.add(event)
        found.append(sorted(gathered.found(), key=lambda login: (login.time, login.accepted)))
    assert found[0] == found[1]
    return found[0]


def said(lines: list[str]) -> list[tuple[float, bool, str, str]]:
    """(seconds, accepted, user, how) of each log-in."""
    return [
        (round(login.time.timestamp() - 1_780_000_000, 3), login.accepted, login.user, login.how)
        for login in logins(lines)
    ]


def password(at: float, acct: str = 'acct="root"', *, pid: int = 923) -> list[str]:
    """A refused password, by PAM and by sshd (CentOS 6 and 7, Amazon Linux)."""
    by_pam = acct if "root" in acct else 'acct="?"'
    return [
        record(at, "USER_AUTH", f"op=PAM:authentication {by_pam}", pid=pid, good=False),
        record(at + 0.001, "USER_AUTH", f"op=password {acct}", pid=pid, good=False),
    ]


def test_a_refused_password_is_one_failure_though_three_records_tell_of_it() -> None:
    closed = record(9, "USER_LOGIN", 'op=login acct="root"', good=False)
    assert said([*password(1), closed]) == [(1.001, False, "root", "audit")]
    assert [at for at, *_ in said([*password(1), *password(17), closed])] == [1.001, 17.001]


def test_a_user_who_does_not_exist_fails_once_for_each_password_and_once_where_none_was_tried() -> None:
    first = record(0, "USER_LOGIN", f"op=login acct={NOBODY}", good=False)
    closed = record(30, "USER_LOGIN", f"op=login acct={INVALID}", good=False)
    assert said([first, *password(10, f"acct={INVALID}"), closed]) == [(10.001, False, UNKNOWN_USER, "audit")]
    ident = record(3, "USER_ERR", 'op=PAM:bad_ident acct="?"', good=False)
    assert said([first, ident, closed]) == [(30, False, UNKNOWN_USER, "audit")]


def test_a_log_in_by_key_is_one_though_each_channel_repeats_it_and_its_first_question_is_refused() -> None:
    """RHEL 9: the probe of the key is refused, the session's records name the user's number only."""
    lines = [
        record(1, "USER_AUTH", 'op=pubkey acct="deploy"', good=False),
        record(1.014, "USER_AUTH", 'op=pubkey_auth rport=53946 acct="deploy"'),
        record(1.015, "USER_AUTH", 'op=key algo=ssh-rsa size=2048 fp=SHA256:d4:ce rport=53946 acct="deploy"'),
        record(1.1, "USER_AUTH", 'op=success acct="deploy"'),
        record(1.2, "USER_START", 'op=PAM:session_open grantors=pam_unix acct="deploy"', ses="7"),
        *(record(2 + n, "USER_LOGIN", "op=login id=1000", ses="7", pid=928) for n in range(5)),
        record(3_000, "USER_LOGIN", "op=login id=1000", ses="7", pid=1100),
    ]
    assert said(lines) == [(1.1, True, "deploy", "publickey")]


def test_the_user_of_a_log_in_that_only_has_a_number_is_that_of_the_system() -> None:
    """CentOS 7: nothing else of the session was kept."""
    assert said([record(1, "USER_LOGIN", "op=login id=0", ses="7")]) == [(1, True, "root", "audit")]
    assert said([record(1, "USER_LOGIN", "op=login id=2001", ses="7")]) == [(1, True, "user 2001", "audit")]
    enriched = record(1, "USER_LOGIN", "op=login id=2001", ses="7") + '\x1dUID="root" AUID="unset" ID="oracle"'
    assert said([enriched]) == [(1, True, "oracle", "audit")]


def test_pams_records_alone_suffice() -> None:
    """Debian and Ubuntu: sshd itself writes of no password."""
    failed = [record(n, "USER_AUTH", 'op=PAM:authentication acct="root"', good=False) for n in (1, 5, 9)]
    opened = [
        record(20, "USER_AUTH", 'op=PAM:authentication acct="root"', pid=77),
        record(20.1, "USER_START", 'op=PAM:session_open acct="root"', ses="3", pid=77),
    ]
    assert said([*failed, *opened]) == [
        *((n, False, "root", "audit") for n in (1, 5, 9)),
        (20.1, True, "root", "password"),
    ]


@pytest.mark.parametrize("tries", [2, 3, 4])
def test_somebody_who_mistypes_a_few_times_is_no_guesser_because_each_time_is_written_thrice(tries: int) -> None:
    lines = [line for number in range(tries) for line in password(number * 10.0)]
    lines += [
        record(99, "USER_LOGIN", 'op=login acct="root"', good=False),
        record(120, "USER_LOGIN", "op=login id=0", ses="9", pid=930),
    ]
    found = logins(lines)
    assert [login.accepted for login in found] == [False] * tries + [True]
    assert list(login_rules.guessing(found)) == []


def test_of_very_many_records_the_first_are_kept_and_no_failure_costs_an_accepted_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audit_logins, "KEPT", 3)
    builder = Builder()
    lines = [record(1, "USER_LOGIN", "op=login id=0", ses="7", pid=1)] + [
        line for n in range(9) for line in password(100.0 * n + 9, pid=n + 2)
    ]
    builder.add("/var/log/audit/audit.log", ("\n".join(lines) + "\n").encode())
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    audited = list(log_rules._audited(builder.tree(), coverage=Coverage(), results=results))
    assert [login.accepted for login in audited if isinstance(login, Login)].count(True) == 1
    assert results.gaps == [
        (
            "log-ins of /var/log/audit/audit.log",
            "15 older records of log-ins were only counted, because there are so many",
        )
    ]


def test_copies_in_the_text_log_count_once() -> None:
    text = [
        Login(logins(password(1))[0].time, False, name, "203.0.113.9", "password", "secure", "", 4472)
        for name in ("nobody-here",)
    ]
    assert login_logs.without_copies(text, logins(password(1, f"acct={INVALID}"))) == text
    assert len(login_logs.without_copies(text, logins(password(60, f"acct={INVALID}")))) == 2
