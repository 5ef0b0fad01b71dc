"""Of the processes of an image of memory those that the case's record of the run holds: what rules say something of, and who started them. Pure.

The whole tree is in the run's results; this part is small enough for the case's table, so that programs that read only that see it too.
"""

from __future__ import annotations

from collections.abc import Sequence

from forensics.models.results import ResultSeverity, ToolProcess

# DynamoDB takes 400 KB for an item, and a page of lists has many: names and arguments of a hostile image may be long.
MOST, MOST_BYTES = 80, 60_000
_TEXT, _CONNECTIONS, _MARKS, _DEEPEST = 300, 8, 4, 24
_RANK = {severity: number for number, severity in enumerate(ResultSeverity)}


def notable(tree: Sequence[ToolProcess]) -> tuple[ToolProcess, ...]:
    """The gravest first, each with its parents up to the root as far as there is room; in the order of their ids."""
    known = {process.pid: process for process in reversed(tree)}
    odd = sorted((p for p in known.values() if p.marks or not p.listed), key=lambda p: (-_gravity(p), p.pid))
    kept: dict[int, ToolProcess] = {}
    left = MOST_BYTES
    for process in odd:
        for one in _line(process, known):
            if one.pid in kept:
                break
            short = _short(one)
            left -= len(short.model_dump_json().encode())
            if left < 0 or len(kept) >= MOST:
                return tuple(kept[pid] for pid in sorted(kept))
            kept[one.pid] = short
    return tuple(kept[pid] for pid in sorted(kept))


def _gravity(process: ToolProcess) -> int:
    hidden = _RANK[ResultSeverity.HIGH] if not process.listed else 0
    return max([hidden, *(_RANK[mark.severity] for mark in process.marks)])


def _line(process: ToolProcess, known: dict[int, ToolProcess]) -> list[ToolProcess]:
    """A process and those above it; processes that are each other's parents end it."""
    found = [process]
    while (above := known.get(found[-1].ppid)) and above not in found and len(found) < _DEEPEST:
        found.append(above)
    return found


def _short(process: ToolProcess) -> ToolProcess:
    return process.model_copy(
        update={
            "args": process.args[:_TEXT],
            "exe": process.exe[:_TEXT],
            "connections": process.connections[:_CONNECTIONS],
            "marks": process.marks[:_MARKS],
        }
    )
