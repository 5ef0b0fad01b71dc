"""Runs checks side by side, each with its own time-out, so that one thing that does not answer holds nothing up."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from forensics.models.preflight import CheckResult, CheckStatus
from forensics.preflight.check import Check

THREADS = 24
TOO_LATE = (
    "give the control subnets a way to what this line is about, or look at what is slow there; run the preflight again"
)


class _Job(threading.Thread):
    """One check in a thread of its own; one that never ends is left behind, and ends with the process."""

    def __init__(self, check: Check, done: queue.SimpleQueue[tuple[_Job, CheckResult]], *, patience: float) -> None:
        super().__init__(name=f"preflight-{check.name}", daemon=True)
        self.check = check
        self.deadline = time.monotonic() + check.limit * patience
        self._done = done

    def run(self) -> None:
        """Run the check."""
        self._done.put((self, self.check.run()))


def run_checks(
    checks: Iterable[Check],
    *,
    threads: int = THREADS,
    patience: float = 1.0,
    say: Callable[[CheckResult], None] = lambda _: None,
) -> list[CheckResult]:
    """The lines of all checks, in the order in which they ended; ``say`` gets each one then. ``patience``: factor on limits."""
    waiting, running = deque(checks), set[_Job]()
    done: queue.SimpleQueue[tuple[_Job, CheckResult]] = queue.SimpleQueue()
    results: list[CheckResult] = []

    def take(line: CheckResult) -> None:
        results.append(line)
        say(line)

    while waiting or running:
        while waiting and len(running) < threads:
            job = _Job(waiting.popleft(), done, patience=patience)
            running.add(job)
            job.start()
        try:
            job, line = done.get(timeout=max(0.01, min(j.deadline for j in running) - time.monotonic()))
        except queue.Empty:
            for late in [j for j in running if j.deadline <= time.monotonic()]:
                running.discard(late)
                take(_late(late.check))
            continue
        if job in running:
            running.discard(job)
            take(line)
    return results


def _late(check: Check) -> CheckResult:
    why = f"no answer within {check.limit:.0f} s"
    return check.line(CheckStatus.BROKEN, why, TOO_LATE, seconds=check.limit)
