"""Waits that end when nothing moves any more, not when a clock says so.

A busy machine makes everything slow and stops nothing. So a wait continues as long as what it waits for makes progress, and
fails when nothing has changed for some time; it then says what it waited for, what changed last and what stands still.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Protocol, TypeVar

T = TypeVar("T")

# Longer than any pause in which nothing can be seen to move: retries and the detection of dead processes take minutes.
QUIET = timedelta(minutes=15)
# The same for a wait that has nothing to watch but its own condition.
QUIET_UNWATCHED = timedelta(minutes=3)
# For what keeps moving and never ends.
LIMIT = timedelta(hours=4)
# A waiter that was itself stopped for a while must look again before it calls anything still.
LOOKS = 3
_SHOWN = 25


class StandstillError(RuntimeError):
    """What was waited for does not move any more (or moves without end); the message says what stands still."""


class Clock(Protocol):
    """Time as a wait needs it."""

    def now(self) -> float:
        """Seconds that only go up."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Seconds that only go up."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)


SYSTEM = SystemClock()


class ProgressWatch:
    """Compares each snapshot with the one before and raises StandstillError when they have been equal for too long.

    :param what: what is waited for, for the message ("run x to end")
    :param quiet: how long snapshots may stay equal
    :param limit: how long the wait may take in all
    :param finished: whether a snapshot's entry needs no mention among what stands still
    """

    def __init__(
        self,
        what: str,
        *,
        quiet: timedelta = QUIET,
        limit: timedelta = LIMIT,
        finished: Callable[[object], bool] = lambda _: False,
        clock: Clock = SYSTEM,
    ) -> None:
        self._what, self._quiet, self._limit = what, quiet.total_seconds(), limit.total_seconds()
        self._finished, self._clock = finished, clock
        self._began = self._changed = clock.now()
        self._last: object = None
        self._change = ""
        self._looks = 0

    def see(self, snapshot: object) -> None:
        """Take note of how things are now. A mapping is compared entry by entry, anything else as a whole."""
        now = self._clock.now()
        if self._looks and snapshot != self._last:
            self._change = _difference(self._last, snapshot)
            self._changed, self._looks = now, 0
        self._last = snapshot
        self._looks += 1
        if now - self._changed >= self._quiet and self._looks >= LOOKS:
            self._fail(f"nothing has changed for {_span(now - self._changed)}", now)
        if now - self._began >= self._limit:
            self._fail(f"things still change, but {_span(self._limit)} is the limit", now)

    def _fail(self, why: str, now: float) -> None:
        change = f"{self._change} ({_span(now - self._changed)} ago)" if self._change else "none was seen"
        msg = f"waited {_span(now - self._began)} for {self._what}: {why}. Last change: {change}."
        if standing := _standing(self._last, self._finished):
            msg += f" Standing still: {standing}."
        raise StandstillError(msg)


def wait_until(
    condition: Callable[[], T],
    *,
    what: str,
    progress: Callable[[], object] | None = None,
    quiet: timedelta | None = None,
    limit: timedelta = LIMIT,
    finished: Callable[[object], bool] = lambda _: False,
    pause: float = 0.2,
    look: float = 2.0,
    clock: Clock = SYSTEM,
) -> T:
    """Return the first true value of ``condition``, asked every ``pause`` seconds.

    ``progress`` gives a comparable snapshot, taken every ``look`` seconds; the wait continues while it changes. Raises
    StandstillError when it has not changed for ``quiet`` (:data:`QUIET`, without ``progress`` :data:`QUIET_UNWATCHED`) or
    when the wait takes longer than ``limit``. What ``condition`` and ``progress`` raise is not caught.
    """
    watch = ProgressWatch(
        what,
        quiet=quiet or (QUIET if progress else QUIET_UNWATCHED),
        limit=limit,
        finished=finished,
        clock=clock,
    )
    looked: float | None = None
    while not (value := condition()):
        if progress is None:
            watch.see(None)
        elif looked is None or clock.now() - looked >= look:
            looked = clock.now()
            watch.see(progress())
        clock.sleep(pause)
    return value


def _difference(before: object, after: object) -> str:
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return f"{before!r} → {after!r}"
    changed = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return _listed([f"{key}: {_shown(before.get(key))} → {_shown(after.get(key))}" for key in changed])


def _standing(snapshot: object, finished: Callable[[object], bool]) -> str:
    if isinstance(snapshot, Mapping):
        return _listed([f"{key}: {_shown(value)}" for key, value in snapshot.items() if not finished(value)])
    return "" if snapshot is None else repr(snapshot)


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def _listed(items: list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return "; ".join(items[:_SHOWN]) + more


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
