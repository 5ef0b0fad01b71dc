"""No answer: what a client sees whose packets are dropped.

In AWS the TCP connection itself is never made. Here it is made, since one address serves all services, and then nothing comes: the
client runs into its time-out, or, when that is longer than ``network_silence_seconds``, into a connection that ends without a valid
answer (botocore: ReadTimeoutError or ConnectionClosedError, both of which it retries like ConnectTimeoutError).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

# Each waiting caller holds one of the server's threads: beyond these, connections end at once.
HELD_AT_ONCE = 24
# an HTTP client takes at most 100 headers, so that it does not see an answer in this
_TOO_MANY = [(f"x-no-answer-{n}", "") for n in range(101)]
_held = threading.BoundedSemaphore(HELD_AT_ONCE)


def hold(start_response: Callable[..., Any], *, seconds: float) -> Iterable[bytes]:
    """Say nothing for some seconds, then end the connection."""
    if _held.acquire(blocking=False):
        try:
            time.sleep(seconds)
        finally:
            _held.release()
    start_response("200 OK", [*_TOO_MANY, ("Content-Length", "1000")])
    return _broken_off()


def _broken_off() -> Iterator[bytes]:
    yield b"-"
    # granian closes the connection of a body that ends in an exception
    raise ConnectionAbortedError("there is no path in the lab's network")
