"""A deterministic scheduler: threads of the product as greenlets, one at a time, in an order that a seed chooses; time is virtual.

The product's modules see :class:`Threading` and :class:`Clock` in place of ``threading`` and ``time``. Whoever runs next is chosen at
every request to a service, and wherever a thread takes a lock or waits. A process can be killed anywhere: none of its threads does
anything any more, not even clean up.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from greenlet import getcurrent, greenlet

STEPS = 60_000  # of one story: more is a live-lock
EPOCH = 1_790_000_000.0


class Killed(BaseException):
    """The process is dead. Not an Exception: nothing of the product handles it."""


class StuckError(Exception):
    """Nobody can run any more, or nobody comes to an end."""


@dataclass
class Process:
    """What dies together."""

    name: str
    dead: bool = False


@dataclass(eq=False)
class Thread:
    """One thread and what it waits for."""

    name: str
    process: Process
    run: Callable[[], None]
    until: float | None = None
    ready: Callable[[], bool] | None = None
    done: bool = False
    error: BaseException | None = None
    let: greenlet = field(init=False)


class Scheduler:
    """Runs threads until none is left that has to end; ``trace`` has who ran, for the story of a fault."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.trace: list[str] = []
        self._threads: list[Thread] = []
        self._current: Thread | None = None
        self._loop = getcurrent()
        self.moved: Callable[[], None] = lambda: None  # told when time has passed

    # ------------------------------------------------------------------ what threads do
    def spawn(self, name: str, process: Process, run: Callable[[], None]) -> Thread:
        """A new thread of a process."""
        thread = Thread(name, process, run)

        def body() -> None:
            try:
                run()
            except Killed:
                pass
            except BaseException as error:
                thread.error = error
            thread.done = True

        thread.let = greenlet(body, parent=self._loop)
        self._threads.append(thread)
        return thread

    @property
    def current(self) -> Thread:
        """The thread that runs."""
        if self._current is None:
            raise RuntimeError("no thread of the scheduler runs")
        return self._current

    def point(self, what: str) -> None:
        """Somebody else may run here, and the process may have died meanwhile."""
        self.wait(None, None, what)

    def wait(self, ready: Callable[[], bool] | None, seconds: float | None, what: str = "") -> None:
        """Wait until ``ready`` or for so many seconds of virtual time."""
        thread = self.current
        if thread.process.dead:
            raise Killed
        if what:
            self.trace.append(f"{self.now:8.2f} {thread.process.name}/{thread.name}: {what}")
        thread.ready, thread.until = ready, None if seconds is None else self.now + max(0.0, seconds)
        self._loop.switch()
        if thread.process.dead:
            raise Killed

    # ------------------------------------------------------------------ the loop
    def run(self) -> None:
        """Run until every thread has ended; raises :class:`StuckError`."""
        for _ in range(STEPS):
            self._threads = [t for t in self._threads if not t.done]
            living = [t for t in self._threads if not t.process.dead]
            if not living:
                self._bury()
                return
            able = [t for t in living if self._able(t)]
            if not able:
                self._advance(living)
                continue
            thread = self.rng.choice(able)
            self._current, thread.ready, thread.until = thread, None, None
            thread.let.switch()
            self._current = None
            if thread.error is not None:
                raise thread.error
        raise StuckError(f"not at its end after {STEPS} steps:\n" + "\n".join(self.trace[-60:]))

    def _able(self, thread: Thread) -> bool:
        if thread.ready is None and thread.until is None:
            return True
        if thread.ready is not None and thread.ready():
            return True
        return thread.until is not None and thread.until <= self.now

    def _advance(self, living: list[Thread]) -> None:
        times = [t.until for t in living if t.until is not None]
        if not times:
            waiting = ", ".join(f"{t.process.name}/{t.name}" for t in living)
            raise StuckError(f"nobody can run: {waiting}\n" + "\n".join(self.trace[-60:]))
        self.now = max(self.now, min(times))
        self.moved()

    def _bury(self) -> None:
        """Let the greenlets of the dead end: each raises at its next request, and its handlers reach nothing."""
        for thread in self._threads:
            self._current = thread
            while not thread.done and thread.let:
                thread.let.switch()
            if not thread.let:
                thread.done = True
        self._current, self._threads = None, []


# ---------------------------------------------------------------------- what the product sees
class Clock:
    """``time``, as far as the product uses it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self.jump = 0.0  # of the wall clock, which monotonic time does not follow

    def monotonic(self) -> float:
        """Seconds of virtual time."""
        return self._scheduler.now + 1000.0

    def time(self) -> float:
        """The wall clock."""
        return EPOCH + self._scheduler.now + self.jump

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._scheduler.wait(None, seconds)


class _Lock:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler, self._held = scheduler, False

    def __enter__(self) -> Self:
        # a lock that is free is taken at once: what others may do between two requests is decided at the requests
        if self._held:
            self._scheduler.wait(lambda: not self._held, None)
        self._held = True
        return self

    def __exit__(self, *_: object) -> None:
        self._held = False


class _Condition(_Lock):
    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._signals = 0

    def notify(self) -> None:
        self._signals += 1

    def wait(self, timeout: float | None = None) -> bool:
        seen, self._held = self._signals, False
        self._scheduler.wait(lambda: self._signals > seen and not self._held, timeout)
        if self._held:
            self._scheduler.wait(lambda: not self._held, None)
        self._held = True
        return self._signals > seen


class _Event:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler, self._set = scheduler, False

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set

    def wait(self, timeout: float | None = None) -> bool:
        if not self._set:
            self._scheduler.wait(self.is_set, timeout)
        return self._set


class _ThreadHandle:
    def __init__(self, scheduler: Scheduler, target: Callable[..., None], args: tuple[Any, ...], name: str) -> None:
        self._scheduler, self._start, self._name = scheduler, lambda: target(*args), name
        self._thread: Thread | None = None

    def start(self) -> None:
        self._thread = self._scheduler.spawn(self._name, self._scheduler.current.process, self._start)

    def join(self, timeout: float | None = None) -> None:
        thread = self._thread
        if thread is not None:
            self._scheduler.wait(lambda: thread.done, timeout)


class Threading:
    """``threading``, as far as the product uses it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def Lock(self) -> _Lock:
        """A lock."""
        return _Lock(self._scheduler)

    def Condition(self) -> _Condition:
        """A condition with its lock."""
        return _Condition(self._scheduler)

    def Event(self) -> _Event:
        """An event."""
        return _Event(self._scheduler)

    def Thread(
        self, *, target: Callable[..., None], args: tuple[Any, ...] = (), name: str = "", daemon: bool = True
    ) -> _ThreadHandle:
        """A thread."""
        return _ThreadHandle(self._scheduler, target, args, name)
