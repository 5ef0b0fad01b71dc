"""Packages that changed, by dpkg(1)'s and dnf's own logs."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from forensic_toolkit.readers import package_logs
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.rules.package_rules import package_changes
from forensic_toolkit.times import now
from tests.toolkit.fake_tree import Builder

# As dpkg 1.21 and dnf 4.14 write them.
DPKG = b"""2026-11-20 10:00:00 startup archives unpack
2026-11-20 10:00:01 install nginx:amd64 <none> 1.22.1-9
2026-11-20 10:00:01 status half-installed nginx:amd64 1.22.1-9
2026-11-21 09:00:00 upgrade openssl:amd64 3.0.15-1 3.0.17-1
2026-11-21 09:00:05 remove telnet:amd64 0.17 <none>
half a line
"""
DNF = b"""2026-11-20T10:00:00+0000 INFO --- logging initialized ---
2026-11-20T10:00:01+0200 SUBDEBUG Installed: socat-1.7.4.2-1.amzn2023.x86_64
2026-11-20T10:00:02+0200 SUBDEBUG Upgrade: curl-8.5.0-1.amzn2023.x86_64
2026-11-20T10:00:03+0200 SUBDEBUG Upgraded: curl-8.3.0-1.amzn2023.x86_64
2026-11-20T10:00:04+0200 SUBDEBUG Erase: telnet-0.17-1.x86_64
"""


def test_the_changes_of_both_logs_with_their_times() -> None:
    tree = Builder().add("/var/log/dpkg.log", DPKG).add("/var/log/dnf.rpm.log", DNF).tree()
    coverage = Coverage()
    found = list(package_logs.changes(tree, zone=ZoneInfo("Europe/Berlin"), coverage=coverage))
    assert [(c.time, c.action, c.package) for c in found] == [
        (datetime(2026, 11, 20, 9, 0, 1, tzinfo=UTC), "install", "nginx:amd64 1.22.1-9"),
        (datetime(2026, 11, 21, 8, 0, tzinfo=UTC), "upgrade", "openssl:amd64 3.0.17-1"),
        (datetime(2026, 11, 21, 8, 0, 5, tzinfo=UTC), "remove", "telnet:amd64 0.17"),
        (datetime(2026, 11, 20, 8, 0, 1, tzinfo=UTC), "installed", "socat-1.7.4.2-1.amzn2023.x86_64"),
        (datetime(2026, 11, 20, 8, 0, 2, tzinfo=UTC), "upgrade", "curl-8.5.0-1.amzn2023.x86_64"),
        (datetime(2026, 11, 20, 8, 0, 4, tzinfo=UTC), "erase", "telnet-0.17-1.x86_64"),
    ]
    assert {a.path: (a.lines, a.parsed) for a in coverage.artifacts} == {
        "/var/log/dpkg.log": (6, 5),
        "/var/log/dnf.rpm.log": (5, 5),
    }


def test_one_finding_a_day_and_a_timeline_entry_for_each_change() -> None:
    tree = Builder().add("/var/log/dpkg.log", DPKG).tree()
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    found = list(package_changes(tree, zone=UTC, coverage=Coverage(), results=results))
    assert [(f.title, f.severity) for f in found] == [
        ("Packages changed on 2026-11-20", "info"),
        ("Packages changed on 2026-11-21", "info"),
    ]
    assert "upgrade openssl:amd64 3.0.17-1, remove telnet:amd64 0.17" in found[1].detail
    assert len(results.events) == 3
