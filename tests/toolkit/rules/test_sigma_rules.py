"""The shipped Sigma rules: each one matches its example, and none matches ordinary lines."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.toolkit.examined import NO_TOOLS, TOOLS, run

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
_SIGMA = """
import json, sys
from datetime import UTC, datetime
from forensic_toolkit.rules import sigma_rules
from forensic_toolkit.results import Results
from forensic_toolkit.readers.system_logs import Line
when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=when)
lines = [Line(when, "h", program, "1", message, "log", message) for program, message in json.loads(sys.argv[1])]
found = [(item.title, item.severity, item.technique) for item in sigma_rules.findings(lines, results=results)]
print(json.dumps({"found": found, "rules": [run.argv[0] for run in results.runs], "gaps": results.gaps}))
"""


def test_sigma_rules_find_what_they_are_for() -> None:
    lines = [
        ("CRON", "(root) CMD (/usr/local/lib/.x/y >/dev/null)"),
        ("kernel", "evil: loading out-of-tree module taints kernel."),
        ("useradd", "new user: name=a, UID=0, GID=0, home=/root"),
        ("usermod", "add 'a' to group 'sudo'"),
        ("useradd", "add 'ubuntu' to group 'sudo'"),
        ("sudo", "a : user NOT in sudoers ; TTY=pts/0"),
        ("sudo", "a : TTY=pts/0 ; USER=root ; COMMAND=/bin/bash"),
        ("sshd", "Accepted publickey for root from 198.51.100.7 port 2 ssh2"),
        ("systemd", "Stopped auditd.service - Security Auditing Service."),
        ("systemd-logind", "System is rebooting."),
        ("kernel", "device eth0 entered promiscuous mode"),
        ("kernel", "nginx[12]: segfault at 0 ip 0 sp 0"),
    ]
    answer: dict[str, Any] = json.loads(run(_SIGMA, json.dumps(lines)))
    assert answer["gaps"] == []
    assert len(answer["rules"]) == 13
    # An account with user id 0 also matches the rule for created accounts.
    assert len({title for title, _, _ in answer["found"]}) == 13
    assert all(technique for _, _, technique in answer["found"])


def test_sigma_rules_leave_ordinary_lines_alone() -> None:
    lines = [
        ("CRON", "(root) CMD (test -e /run/systemd/system || run-parts /etc/cron.hourly)"),
        ("useradd", "add 'admin' to group 'adm'"),
        ("useradd", "add 'admin' to shadow group 'sudo'"),
        ("kernel", "Linux version 6.1.0"),
        ("sudo", "a : TTY=pts/0 ; USER=root ; COMMAND=/usr/bin/systemctl restart nginx"),
        ("sshd", "Accepted publickey for admin from 198.51.100.7 port 2 ssh2"),
        ("systemd", "Started nginx.service - A high performance web server."),
    ]
    assert json.loads(run(_SIGMA, json.dumps(lines)))["found"] == []
