"""What the guest itself reports about its processes and connections, read right after the capture."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from lab.tools.memory.vm import Guest

_TICKS = 100  # USER_HZ on amd64: the unit of starttime in /proc/PID/stat
_LIST = (
    "for d in /proc/[0-9]*; do [ -r $d/cmdline ] || continue; "
    'printf "%s\\t%s\\t%s\\n" "$(cat $d/stat)" "$(readlink $d/exe)" "$(tr "\\0" " " < $d/cmdline)"; '
    "done 2>/dev/null"
)


def observe(guest: Guest, *, session: list[str]) -> dict[str, Any]:
    """Processes with a command line, TCP connections, the boot time and the typed commands."""
    stat = guest.run("cat /proc/stat").decode()
    boot = next(int(line.split()[1]) for line in stat.splitlines() if line.startswith("btime "))
    boot_time = datetime.fromtimestamp(boot, UTC)
    rows = [line for line in guest.run(_LIST).decode(errors="replace").splitlines() if line.count("\t") == 2]
    return {
        "note": "read over SSH after the capture: the reader's own processes and connection are not in it",
        "boot": _text(boot_time),
        "captured_before": guest.run("date -u +%Y-%m-%dT%H:%M:%SZ").decode().strip(),
        "processes": [process for row in rows if (process := _process(row, boot=boot_time))],
        "connections": _connections(guest.run("netstat -tn").decode()),
        "commands": session,
    }


def _process(row: str, *, boot: datetime) -> dict[str, Any] | None:
    stat, exe, cmdline = row.split("\t")
    pid, rest = stat.split(" (", 1)
    comm, rest = rest.rsplit(") ", 1)
    numbers = rest.split()
    if not exe:
        return None  # a kernel thread, or gone while being read
    started = boot + timedelta(seconds=int(numbers[19]) / _TICKS)
    return {
        "pid": int(pid),
        "ppid": int(numbers[1]),
        "comm": comm,
        "cmdline": cmdline.strip(),
        "exe": exe,
        "started": _text(started),
    }


def _connections(netstat: str) -> list[dict[str, str]]:
    rows = [line.split() for line in netstat.splitlines() if line.startswith("tcp")]
    return [{"local": row[3], "remote": row[4], "state": row[5]} for row in rows]


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
