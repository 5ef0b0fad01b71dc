"""The rules that the disk command applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from forensic_toolkit.commands import disk
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.results import Finding
from tests.toolkit.fake_tree import INSTALLED, Builder

Rule = Callable[[Tree], Iterable[Finding]]


def found(rule: Rule, builder: Builder) -> list[tuple[str, str, str | None]]:
    """Source, severity and technique of what a rule finds."""
    return [(finding.source, finding.severity, finding.technique) for finding in rule(builder.tree())]


@pytest.mark.parametrize("rule", disk.TREE_RULES, ids=lambda rule: rule.__name__)
def test_an_untouched_system_gives_no_findings(rule: Rule) -> None:
    builder = Builder()
    builder.add("/usr/bin/su", b"\x7fELF su", mode=0o4755, born=INSTALLED)
    builder.add("/etc/crontab", b"17 * * * * root run-parts /etc/cron.hourly\n", born=INSTALLED)
    builder.add("/usr/lib/systemd/system/cron.service", b"[Service]\nExecStart=/usr/bin/tool1\n", born=INSTALLED)
    builder.add("/root/.bashrc", b"alias ll='ls -l'\n", born=INSTALLED)
    assert found(rule, builder) == []
