"""Rows of Volatility's Linux plugins, with their column names."""

from __future__ import annotations

from typing import Any

from forensic_toolkit.readers.processes import PSAUX, PSLIST, SPOOFING
from forensic_toolkit.rules import memory_rules

START = "2026-01-02T03:04:05+00:00"


def process(pid: int, comm: str, *, args: str = "", exe: str = "N/A", ppid: int = 1) -> dict[str, list[dict[str, Any]]]:
    """Rows of one process."""
    return {
        PSLIST: [{"PID": pid, "PPID": ppid, "COMM": comm, "UID": 0, "CREATION TIME": START}],
        PSAUX: [{"PID": pid, "PPID": ppid, "COMM": comm, "ARGS": args or comm}],
        SPOOFING: [{"PID": pid, "Exe_Path": exe, "Exe_Deleted": exe.endswith("(deleted)")}],
    }


def together(*parts: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of several processes and plugins."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        for name, some in part.items():
            rows.setdefault(name, []).extend(some)
    return rows


def socket(pid: int, *, own: str, peer: str, state: str = "ESTABLISHED") -> dict[str, list[dict[str, Any]]]:
    """Rows of one socket; addresses as ``host:port``."""
    (host, port), (peer_host, peer_port) = own.rsplit(":", 1), peer.rsplit(":", 1)
    row = {"PID": pid, "Family": "AF_INET", "Proto": "TCP", "State": state, "Process Name": "x"}
    row |= {
        "Source Addr": host,
        "Source Port": port,
        "Destination Addr": peer_host,
        "Destination Port": peer_port,
    }
    return {"linux.sockstat.Sockstat": [row]}


def titles(rows: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Severity by title."""
    return {finding.title: finding.severity for finding in memory_rules.findings(rows)}
