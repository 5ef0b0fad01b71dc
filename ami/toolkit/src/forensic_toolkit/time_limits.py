"""Time limits on Python code, one inside the other: a rule that hangs ends alone, the others go on."""

from __future__ import annotations

import signal
import threading
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager

# A rule over a whole disk takes seconds; evidence may be made to keep it busy for ever.
RULE_SECONDS = 120.0


class OutOfTimeError(BaseException):
    """The time is over. Not an Exception: rules and readers catch those. ``whole`` when it is the outermost time."""

    def __init__(self, seconds: float, *, whole: bool) -> None:
        super().__init__(f"not done after {seconds:.0f} s")
        self.seconds, self.whole = seconds, whole


@contextmanager
def within(seconds: float, *, whole: bool = False) -> Iterator[None]:
    """Raise OutOfTimeError in the block after ``seconds``, or when a limit around it ends earlier.

    Only the main thread gets signals; elsewhere nothing is limited. Code in C ends at its next return to Python.
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
