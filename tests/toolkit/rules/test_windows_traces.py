"""The compatibility cache and the change journal: rows as dissect.target's ``shimcache`` and ``usnjrnl`` give them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensic_toolkit.rules import windows_traces

START = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)


def change(path: str, reason: str, *, after: float = 0, usn: int = 0) -> dict[str, Any]:
    """A row of the change journal."""
    return {
        "ts": (START + timedelta(seconds=after)).isoformat(),
        "usn": usn or int(after * 100) + 1,
        "path": path,
        "reason": reason,
    }


def said(rows: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    """What the rules find, of the rows that are kept."""
    kept = [row for row in rows if windows_traces.matters(row)]
    return [(item.title, item.severity, item.technique) for item in windows_traces.change_journal({"usnjrnl": kept})]


def test_a_program_that_came_and_went_is_named() -> None:
    rows = [
        change("C:/Users/Public/a.exe", "FILE_CREATE"),
        change("C:/Users/Public/a.exe", "DATA_EXTEND|FILE_CREATE|CLOSE", after=1),
        change("C:/Users/Public/a.exe", "FILE_DELETE|CLOSE", after=600),
        change("C:/Windows/Temp/setup/x.exe", "FILE_DELETE|CLOSE", after=2),
        change("C:/pagefile.sys", "FILE_CREATE|CLOSE", after=3),
        change("C:/Users/a/mimikatz.exe", "FILE_CREATE|CLOSE", after=4),
    ]
    assert said(rows) == [
        ("Program created: C:\\Users\\a\\mimikatz.exe", "high", "T1105"),
        ("Program deleted: C:\\Users\\Public\\a.exe", "medium", "T1070.004"),
    ]
    (_, deleted) = windows_traces.change_journal({"usnjrnl": [row for row in rows if windows_traces.matters(row)]})
    assert deleted.time == START + timedelta(seconds=600) and "0:09:59 before" in deleted.detail


def test_logs_and_prefetch_that_are_removed_are_named_and_routine_is_not() -> None:
    log = "C:/Windows/System32/winevt/Logs/Security.evtx"
    assert said([change(log, "DATA_OVERWRITE|CLOSE")]) == []
    assert said([change(log, "DATA_TRUNCATION|CLOSE"), change(log, "FILE_DELETE|CLOSE", after=1)]) == [
        ("Event log emptied: Security.evtx", "medium", "T1685.005"),
        ("Event log deleted: Security.evtx", "high", "T1685.005"),
    ]
    files = [
        change(f"C:/Windows/Prefetch/P{number}.EXE-1.pf", "FILE_DELETE|CLOSE", after=number) for number in range(25)
    ]
    assert said(files) == [("Prefetch files removed together", "high", "T1070.004")]
    slow = [
        change(f"C:/Windows/Prefetch/P{number}.EXE-1.pf", "FILE_DELETE|CLOSE", after=number * 60)
        for number in range(25)
    ]
    assert said(slow) == []


@pytest.mark.parametrize(
    ("path", "severity"),
    [
        ("C:\\PerfLogs\\b.exe", "medium"),
        ("C:/ProgramData/.cache/b.exe", "medium"),
        ("sysvol/Users/Public/b.dll", "medium"),
        ("C:\\tools\\PsExec.exe", "high"),
        ("C:\\Windows\\System32\\svchost.exe", None),
        ("C:\\Users\\a\\AppData\\Local\\Temp\\setup.exe", None),
        ("C:\\ProgramData\\Amazon\\SSM\\x.exe", None),
    ],
)
def test_the_compatibility_cache_names_odd_places_and_tools(path: str, severity: str | None) -> None:
    row = {"last_modified": START.isoformat(), "path": path, "index": 3}
    found = list(windows_traces.compatibility_cache({"shimcache": [row]}))
    assert [item.severity for item in found] == ([severity] if severity else [])
    assert all(item.time == START and "not of a run" in item.detail for item in found)
