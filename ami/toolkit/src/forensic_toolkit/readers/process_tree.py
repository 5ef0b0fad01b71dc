"""Processes as a tree for people: parents, what each was started with, its connections, and what the rules said of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from forensic_toolkit.findings import SEVERITIES, Finding
from forensic_toolkit.printable import printable
from forensic_toolkit.readers.processes import Rows, processes
from forensic_toolkit.times import parse_iso, zulu

SOCKETS, PID_TABLE = "linux.sockstat.Sockstat", "linux.pidhashtable.PIDHashTable"
LIST, SCAN = "windows.pslist.PsList", "windows.psscan.PsScan"
NET, COMMANDS = "windows.netscan.NetScan", "windows.cmdline.CmdLine"
MOST = 600
MOST_CONNECTIONS = 8
MOST_MARKS = 6
_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Node:
    """One process; ``listed``: the system's own list of processes has it."""

    pid: int
    ppid: int
    name: str
    args: str = ""
    exe: str = ""
    uid: int | None = None
    started: datetime | None = None
    listed: bool = True


def process_tree(rows: Rows, *, findings: Iterable[Finding], windows: bool = False) -> tuple[list[dict[str, Any]], int]:
    """The processes in their JSON form, and how many there are in all.

    At most :data:`MOST`: those that findings name (``data["pid"]``) or that are not listed, with their parents, then the newest. Threads of a
    Linux kernel are left out unless a finding names them.
    """
    marks: dict[int, list[Finding]] = defaultdict(list)
    for finding in findings:
        if isinstance(pid := finding.data.get("pid"), int):
            marks[pid].append(finding)
    nodes = {node.pid: node for node in (_windows(rows) if windows else _linux(rows, kept=marks))}
    ends = _connections(rows.get(NET, ()), _netscan) if windows else _connections(rows.get(SOCKETS, ()), _sockstat)
    chosen = _chosen(nodes, wanted=[pid for pid, node in nodes.items() if pid in marks or not node.listed])
    return [_as_dict(nodes[pid], marks.get(pid, ()), ends.get(pid, {})) for pid in sorted(chosen)], len(nodes)


def _linux(rows: Rows, *, kept: Mapping[int, object]) -> Iterator[Node]:
    known = processes(rows)
    for p in known.values():
        if not p.is_kernel or p.pid in kept:
            exe = (p.exe or "") + (" (deleted)" if p.deleted and p.exe else "")
            yield Node(p.pid, p.ppid, p.comm, p.args, exe, p.uid, p.started)
    for row in rows.get(PID_TABLE, ()):
        if known and row["PID"] == row.get("TID") and row["PID"] not in known:
            yield Node(row["PID"], row.get("PPID") or 0, row.get("COMM") or "", listed=False)


def _windows(rows: Rows) -> Iterator[Node]:
    args = {row["PID"]: str(row.get("Args") or "") for row in rows.get(COMMANDS, ())}
    listed = {row["PID"] for row in rows.get(LIST, ())}
    scanned = [row for row in rows.get(SCAN, ()) if row.get("ExitTime") is None and row["PID"] not in listed]
    for row in [*scanned, *rows.get(LIST, ())]:
        pid, name = row["PID"], row.get("ImageFileName") or ""
        started = parse_iso(row.get("CreateTime") or "")
        yield Node(pid, row.get("PPID") or 0, name, args.get(pid, ""), started=started, listed=pid in listed)


def _sockstat(row: Mapping[str, Any]) -> str | None:
    if not str(row.get("Family")).startswith("AF_INET"):
        return None
    own = f"{row.get('Source Addr')}:{row.get('Source Port')}"
    if row.get("State") == "LISTEN":
        return f"{row.get('Proto')} {own} listens"
    peer = f"{row.get('Destination Addr')}:{row.get('Destination Port')}"
    return f"{row.get('Proto')} {own} with {peer} {row.get('State')}"


def _netscan(row: Mapping[str, Any]) -> str | None:
    own, peer = (f"{row.get(f'{side}Addr')}:{row.get(f'{side}Port')}" for side in ("Local", "Foreign"))
    if row.get("State") == "LISTENING":
        return f"{row.get('Proto')} {own} listens"
    return f"{row.get('Proto')} {own} with {peer} {row.get('State') or ''}".strip()


def _connections(
    rows: Iterable[Mapping[str, Any]], words: Callable[[Mapping[str, Any]], str | None]
) -> dict[int, dict[str, None]]:
    """Each process's sockets in words, each once."""
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for row in rows:
        pid, said = row.get("PID"), words(row)
        if isinstance(pid, int) and said and len(found[pid]) <= MOST_CONNECTIONS:
            found[pid][said] = None
    return found


def _chosen(nodes: Mapping[int, Node], *, wanted: Iterable[int]) -> set[int]:
    chosen: set[int] = set()
    newest = sorted(nodes.values(), key=lambda node: node.started.timestamp() if node.started else 0.0, reverse=True)
    for pid in [*wanted, *(node.pid for node in newest)]:
        # parents come with their children; those of a crafted image may be their own
        for _ in range(_DEPTH):
            if pid not in nodes or pid in chosen or len(chosen) >= MOST:
                break
            chosen.add(pid)
            pid = nodes[pid].ppid
    return chosen


def _as_dict(node: Node, marks: Iterable[Finding], ends: Iterable[str]) -> dict[str, Any]:
    worst = sorted(marks, key=lambda finding: SEVERITIES.index(finding.severity))
    return {
        "pid": node.pid,
        "ppid": node.ppid,
        "name": printable(node.name, limit=64),
        "args": printable(node.args, limit=300),
        "exe": printable(node.exe, limit=300),
        "uid": node.uid,
        "started": zulu(node.started) if node.started else None,
        "listed": node.listed,
        "connections": [printable(end, limit=200) for end in ends][:MOST_CONNECTIONS],
        "marks": [
            {"severity": finding.severity, "title": printable(finding.title, limit=160)}
            for finding in worst[:MOST_MARKS]
        ],
    }
