"""A share of a core for a program and all that it starts: a cgroup with a quota where the machine allows it, else one core by affinity.

Sources: Linux, Documentation/scheduler/sched-bwc.rst (``cpu.cfs_quota_us``) and Documentation/admin-guide/cgroup-v2.rst (``cpu.max``);
sched_setaffinity(2).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PERIOD_US = 100_000


@contextmanager
def shared(pids: dict[str, int], *, cores: float, root: Path = ROOT) -> Iterator[str]:
    """Each of ``pids`` (by a name) and its children have at most ``cores`` of processor time; says how: ``cgroup`` or ``affinity``.

    With ``affinity`` each has one whole core, shared with those that got the same. What was changed is undone at the end.
    """
    made: list[Path] = []
    before = {pid: os.sched_getaffinity(pid) for pid in pids.values()}
    how = "affinity"
    try:
        try:
            for name, pid in pids.items():
                made.append(_group(root, name=f"forensics-bench-{os.getpid()}-{name}", cores=cores))
                _move(made[-1], pid)
            how = "cgroup"
        except OSError:
            _pin(list(pids.values()))
        yield how
    finally:
        for group in made:
            _dissolve(group)
        if how == "affinity":
            for pid, cores_before in before.items():
                _affinity(pid, cores_before)


def family(pid: int) -> list[int]:
    """A process and all its descendants that live."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [p for child in task.read_text().split() for p in family(int(child))]
    return found


def _group(root: Path, *, name: str, cores: float) -> Path:
    """Make one. Raises OSError where this machine or its rights do not allow it."""
    old = root / "cpu"
    group = (old if old.is_dir() else root) / name
    group.mkdir()
    quota = int(cores * PERIOD_US)
    try:
        if old.is_dir():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
    except OSError:
        group.rmdir()
        raise
    return group


def _move(group: Path, pid: int) -> None:
    """The process and its children; twice, because a child may be made meanwhile (later ones are born inside)."""
    for _ in range(2):
        for member in family(pid):
            with suppress(ProcessLookupError):
                (group / "cgroup.procs").write_text(str(member))


def _dissolve(group: Path) -> None:
    """Its members go back to the group above; an ended one is nobody's."""
    with suppress(OSError):
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (group.parent / "cgroup.procs").write_text(pid)
        group.rmdir()


def _pin(pids: list[int]) -> None:
    count = os.cpu_count() or 1
    for number, pid in enumerate(pids):
        _affinity(pid, {number % count})


def _affinity(pid: int, cores: set[int]) -> None:
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").glob("*"):
            with suppress(OSError):
                os.sched_setaffinity(int(task.name), cores)
