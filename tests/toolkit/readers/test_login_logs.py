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


def told(text: str) -> list[tuple[bool, str, str, str]]:
    """Of each attempt: accepted, user, address, how."""
    return [(login.accepted, login.user, login.address, login.how) for login in login_logs.attempts(lines(text))]


def test_before_openssh_7_an_attempt_without_passwords_leaves_no_port_and_no_failed_line() -> None:
    """OpenSSH 6.6 on an EC2 host whose sshd takes keys alone (shapes of public logs: gtkcyber/drillworkshop, data/auth.log)."""
    text = """Mar  1 08:42:04 ip-10-0-0-1 sshd[22182]: Invalid user admin from 192.0.2.74
Mar  1 08:42:04 ip-10-0-0-1 sshd[22182]: input_userauth_request: invalid user admin [preauth]
Mar  1 08:42:04 ip-10-0-0-1 sshd[22182]: Received disconnect from 192.0.2.74: 11: Bye Bye [preauth]
Mar  1 08:42:09 ip-10-0-0-1 sshd[22190]: Received disconnect from 2001:db8::11: 11:  [preauth]
Mar  1 08:42:14 ip-10-0-0-1 sshd[22184]: Did not receive identification string from 192.0.2.74
Mar  1 08:43:14 ip-10-0-0-1 sshd[22188]: Connection closed by 192.0.2.75 [preauth]
Mar  1 09:00:00 ip-10-0-0-1 sshd[30000]: Received disconnect from 192.0.2.90: 11: disconnected by user
Mar  1 09:30:00 ip-10-0-0-1 sshd[22182]: Received disconnect from 192.0.2.74: 11: Bye Bye [preauth]"""
    unknown = login_logs.UNKNOWN_USER
    assert told(text) == [
        (False, "admin", "192.0.2.74", "none"),
        (False, unknown, "192.0.2.74", "none"),  # the same number of a process, an hour later
        (False, unknown, "2001:db8::11", "none"),
    ]


def test_what_sshd_says_of_an_attempt_counts_once_whatever_else_is_logged_of_it() -> None:
    """All lines of two attempts as OpenSSH 7.4 writes them (shapes of public logs: binayakpg/authlogs, secure)."""
    text = """Mar  1 04:12:47 web sshd[25186]: Invalid user printer from 192.0.2.106 port 30262
Mar  1 04:12:47 web sshd[25186]: input_userauth_request: invalid user printer [preauth]
Mar  1 04:12:47 web sshd[25186]: pam_unix(sshd:auth): check pass; user unknown
Mar  1 04:12:47 web sshd[25186]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.106
Mar  1 04:12:49 web sshd[25186]: Failed password for invalid user printer from 192.0.2.106 port 30262 ssh2
Mar  1 04:12:50 web sshd[25186]: Received disconnect from 192.0.2.106 port 30262:11: Bye Bye [preauth]
Mar  1 04:12:50 web sshd[25186]: Disconnected from 192.0.2.106 port 30262 [preauth]
Mar  1 04:15:00 web sshd[25200]: Accepted password for mara from 192.0.2.9 port 51000 ssh2"""
    assert told(text) == [(False, "printer", "192.0.2.106", "password"), (True, "mara", "192.0.2.9", "password")]
    assert len(list(login_logs.attempts(reversed(lines(text))))) == 2, "logs are read from their end"


def test_pam_tells_of_the_services_that_log_nothing_of_their_own() -> None:
    """pam_unix's two forms (Linux-PAM's support.c; the older one from public logs: logpai/loghub, Linux_2k.log)."""
    text = """Mar  1 15:16:01 web sshd(pam_unix)[19939]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser= rhost=192.0.2.4  user=root
Mar  1 15:16:02 web sshd(pam_unix)[19937]: check pass; user unknown
Mar  1 15:17:02 web vsftpd: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=anna rhost=host.example.net
Mar  1 15:17:09 web vsftpd: pam_unix(vsftpd:auth): authentication failure; logname= uid=0 euid=0 tty=ftp ruser=anna rhost=host.example.net
Mar  1 15:18:00 web sshd[20]: PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.5  user=x rhost=203.0.113.1
Mar  1 15:19:00 web su: pam_unix(su:auth): authentication failure; logname=web uid=33 euid=0 tty=pts/0 ruser=web rhost=  user=root
Mar  1 15:20:00 web sshd[21]: User mara from 192.0.2.6 not allowed because not listed in AllowUsers"""
    assert sorted(told(text)) == sorted(
        [
            (False, "root", "192.0.2.4", "sshd"),
            *[(False, login_logs.UNKNOWN_USER, "host.example.net", "vsftpd")] * 2,
            *[(False, "x rhost=203.0.113.1", "192.0.2.5", "sshd")] * 2,
            (False, "mara", "192.0.2.6", "none"),
        ]
    )


def test_a_small_server_of_the_intruders_own() -> None:
    """dropbear's messages (its svr-authpasswd.c, svr-authpubkey.c)."""
    text = """Mar  1 10:00:00 web dropbear[31]: Bad password attempt for 'root' from 192.0.2.4:51000
Mar  1 10:00:03 web dropbear[31]: Login attempt for nonexistent user from 192.0.2.4:51000
Mar  1 10:00:09 web dropbear[32]: Pubkey auth succeeded for 'root' with ssh-ed25519 key SHA256:abc from 192.0.2.4:51002"""
    assert told(text) == [
        (False, "root", "192.0.2.4", "password"),
        (False, login_logs.UNKNOWN_USER, "192.0.2.4", "none"),
        (True, "root", "192.0.2.4", "publickey"),
    ]


def test_a_session_of_ftp_is_in_the_timeline() -> None:
    text = "Mar  1 12:10:23 web proftpd: pam_unix(proftpd:session): session opened for user ftpshop by (uid=0)"
    (event,) = login_logs.other_events(lines(text))
    assert event.what == "Session opened: proftpd ftpshop"


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
