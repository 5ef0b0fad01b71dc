"""The processes of an image of memory as a tree: who started whom, with what, and what is odd about it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from forensics.models.case import CaseView
from forensics.models.results import ToolProcess
from forensics.report.sections import SEVERITY_LEVEL

# What is deeper in a crafted image stands below the process at this depth, in order.
DEEPEST = 24


@dataclass(frozen=True)
class Branch:
    """A process and what it started; ``level`` is that of the gravest mark, empty when none says anything of it."""

    process: ToolProcess
    level: str
    children: tuple[Branch, ...] = ()

    @property
    def marked(self) -> int:
        """How many processes of this branch are marked."""
        return bool(self.level) + sum(child.marked for child in self.children)


@dataclass(frozen=True)
class ProcessTree:
    """The tree of one piece of evidence."""

    evidence_id: str
    roots: tuple[Branch, ...]
    processes: int
    marked: int


def process_trees(view: CaseView) -> list[ProcessTree]:
    """A tree for each piece of evidence whose tool gave processes."""
    return [_tree(r.evidence_id, r.process_tree) for r in view.results if r.process_tree]


def _tree(evidence_id: str, processes: Sequence[ToolProcess]) -> ProcessTree:
    known = {p.pid: p for p in sorted(processes, key=lambda p: p.pid)}
    children: dict[int, list[ToolProcess]] = defaultdict(list)
    for process in known.values():
        children[process.ppid].append(process)
    placed: set[int] = set()

    def grow(process: ToolProcess, depth: int) -> Branch:
        placed.add(process.pid)
        if depth == DEEPEST:
            flat = [Branch(p, _level(p)) for p in _offspring(children, process.pid, placed)]
            return Branch(process, _level(process), tuple(flat))
        grown = [grow(child, depth + 1) for child in children[process.pid] if child.pid not in placed]
        return Branch(process, _level(process), tuple(grown))

    roots = [grow(p, 0) for p in known.values() if p.ppid not in known]
    # processes that are each other's parents have no root
    roots += [grow(p, 0) for p in known.values() if p.pid not in placed]
    return ProcessTree(evidence_id, tuple(roots), len(known), sum(branch.marked for branch in roots))


def _offspring(children: Mapping[int, Sequence[ToolProcess]], pid: int, placed: set[int]) -> Iterator[ToolProcess]:
    """All that a process started, and what they started, that has no place yet; a chain may be as long as the list."""
    waiting = list(reversed(children.get(pid, ())))
    while waiting:
        process = waiting.pop()
        if process.pid in placed:
            continue
        placed.add(process.pid)
        yield process
        waiting.extend(reversed(children.get(process.pid, ())))


def _level(process: ToolProcess) -> str:
    if not process.listed:
        return "bad"
    levels = [SEVERITY_LEVEL[mark.severity] for mark in process.marks]
    return next((level for level in ("bad", "warn", "idle") if level in levels), "")
