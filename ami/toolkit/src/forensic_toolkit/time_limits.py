"""Nested time limits on Python code: a rule that hangs is stopped alone, the other rules still run."""

from __future__ import annotations

import signal
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager

# A rule takes seconds for a whole disk; crafted evidence may keep it busy forever.
RULE_SECONDS = 120.0


class OutOfTimeError(BaseException):
    """A time limit has passed. Not an Exception, because rules and readers catch those. ``whole`` marks the outermost limit."""

    def __init__(self, seconds: float, *, whole: bool) -> None:
        super().__init__(f"not finished after {seconds:.0f} s")
        self.seconds, self.whole = seconds, whole


@contextmanager
def within(seconds: float, *, whole: bool = False) -> Iterator[None]:
    """Raise OutOfTimeError in the block after ``seconds``, or when a limit around it ends earlier.

    Only the main thread receives signals; in other threads nothing is limited. C code is interrupted when it returns to Python.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer, _ = signal.getitimer(signal.ITIMER_REAL)
    outer_handler = signal.getsignal(signal.SIGALRM)
    if outer and outer <= seconds:
        yield
        return
    started = time.monotonic()

    def ring(_signal: int, _frame: types.FrameType | None) -> None:
        raise OutOfTimeError(seconds, whole=whole)

    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, outer_handler)
        left = max(0.01, outer - (time.monotonic() - started)) if outer else 0
        signal.setitimer(signal.ITIMER_REAL, left)
