"""The rules that the disk command applies."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit.commands import disk
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Event, Finding, Results
from forensic_toolkit.times import now
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


@pytest.mark.parametrize(("complete", "kept"), [(True, 0), (False, 1)])
def test_an_interrupted_full_profile_keeps_what_the_quick_one_found(
    complete: bool, kept: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """plaso and the reading of the disk are tested by themselves; here only what becomes of their results."""
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    finding = Finding("Cron job", "x", "high", "high", "/etc/cron.d/x")

    def examine(device: Path, *, results: Results, **_more: Any) -> disk.Examined:
        results.findings.append(finding)
        results.events.append(Event(now(), "what", "/etc/cron.d/x", "Log Time"))
        return disk.Examined({}, Coverage(), 1, False, [], Builder().tree(), None)  # type: ignore[arg-type]

    def plaso(*_arguments: Any, **_more: Any) -> bool:
        assert results.findings == []
        return complete

    monkeypatch.setattr(disk, "examine", examine)
    monkeypatch.setattr(disk.plaso_program, "run", plaso)
    disk.analyse(tmp_path, results=results, raw=tmp_path, profile=disk.FULL)
    assert (len(results.findings), len(results.events)) == (kept, kept)
