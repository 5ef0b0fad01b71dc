"""How much processor time the programs on the lab's hosts have used: a command that computes is not standing still."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

# Fields of /proc/<pid>/stat after the program's name (proc(5) counts from 3): parent, own and reaped children's times.
_PARENT, _TIMES = 1, slice(11, 15)


def cpu_seconds_below(pid: int) -> float:
    """Processor seconds of every descendant of a process, those included that have ended and been waited for."""
    ticks, children = {}, defaultdict(list)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        own, system, reaped, reaped_system = (int(value) for value in fields[_TIMES])
        ticks[int(entry.name)] = (own + system, reaped + reaped_system)
        children[int(fields[_PARENT])].append(int(entry.name))
    total, waiting = ticks.get(pid, (0, 0))[1], list(children[pid])
    while waiting:
        child = waiting.pop()
        total += sum(ticks[child])
        waiting += children[child]
    return total / os.sysconf("SC_CLK_TCK")
