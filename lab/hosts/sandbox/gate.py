"""The only way out of a sandbox: connections to one port, carried to the lab's endpoint while the instance
may.

The sandbox hands its listening socket out; the gate accepts on it from outside and copies bytes. When
`reachable` turns false (a security group changed), open connections are reset and new ones refused, until
it turns true again.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import struct
import threading
from collections.abc import Callable

log = logging.getLogger("lab.hosts.sandbox")

_CHUNK = 256 * 1024
_TICK_SECONDS = 0.1
_CONNECT_SECONDS = 5.0


class Gate:
    """Carries one sandbox's connections to `endpoint` (host, port). `close` ends them all.

    `source` is the loopback address by which the lab knows the host; "" for any.
    """

    def __init__(self, endpoint: tuple[str, int], *, reachable: Callable[[], bool], source: str = "") -> None:
        self.endpoint = endpoint
        self._source = (source, 0) if source else None
        self._reachable = reachable
        self._listener: socket.socket | None = None
        self._pairs: set[_Pair] = set()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._complained = False
        self._thread: threading.Thread | None = None

    def adopt(self, listener: socket.socket) -> None:
        """Serve a socket that listens inside the sandbox."""
        listener.setblocking(False)
        self._listener = listener
        self._thread = threading.Thread(target=self._serve, args=(listener,), name="lab-gate", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut everything and stop."""
        self._closed.set()
        self._cut()
        if self._thread is not None:
            self._thread.join(timeout=5)
        if self._listener is not None:
            self._listener.close()

    def _serve(self, listener: socket.socket) -> None:
        is_open = True
        while not self._closed.is_set():
            wanted = self._may_pass()
            if is_open and not wanted:
                # Out of LISTEN: the kernel inside answers "connection refused" by itself.
                with contextlib.suppress(OSError):
                    listener.shutdown(socket.SHUT_RDWR)
                self._cut()
            elif wanted and not is_open:
                listener.listen(64)
            is_open = wanted
            if not is_open:
                self._closed.wait(_TICK_SECONDS)
                continue
            if not select.select([listener], [], [], _TICK_SECONDS)[0]:
                continue
            try:
                inside, _ = listener.accept()
            except OSError:
                continue  # the client gave up between select and accept
            self._carry(inside)

    def _may_pass(self) -> bool:
        try:
            return self._reachable()
        except Exception as error:  # a lab that is being reset; the sandbox must not stay open because of it
            if not self._complained:
                log.warning("whether a sandbox may reach the lab cannot be determined, so it may not: %r", error)
            self._complained = True
            return False

    def _carry(self, inside: socket.socket) -> None:
        try:
            outside = socket.create_connection(self.endpoint, _CONNECT_SECONDS, self._source)
        except OSError as error:
            log.warning(
                "a sandbox tried to reach the lab's endpoint %s:%s, which does not answer: %s", *self.endpoint, error
            )
            _reset(inside)
            return
        inside.setblocking(False)
        outside.setblocking(False)
        pair = _Pair(inside, outside)
        with self._lock:
            self._pairs.add(pair)
        for source, target in ((inside, outside), (outside, inside)):
            ends = {"source": source, "target": target}
            threading.Thread(target=self._pump, args=(pair,), kwargs=ends, name="lab-gate-pump", daemon=True).start()

    def _pump(self, pair: _Pair, *, source: socket.socket, target: socket.socket) -> None:
        """Copy one direction; the second of the two to finish closes both sockets."""
        try:
            _copy(pair, source=source, target=target)
        except OSError:
            pair.cut = True  # one side was reset: so is the other
        with self._lock:
            pair.unfinished -= 1
            if pair.unfinished:
                return
            self._pairs.discard(pair)
        for end in (pair.inside, pair.outside):
            if pair.cut:
                _reset(end)
            else:
                end.close()

    def _cut(self) -> None:
        with self._lock:
            for pair in self._pairs:
                pair.cut = True


class _Pair:
    """A connection from a sandbox and its continuation to the endpoint. `cut`: reset both, soon."""

    def __init__(self, inside: socket.socket, outside: socket.socket) -> None:
        self.inside, self.outside = inside, outside
        self.cut = False
        self.unfinished = 2


def _copy(pair: _Pair, *, source: socket.socket, target: socket.socket) -> None:
    readable, writable = select.poll(), select.poll()
    readable.register(source, select.POLLIN)
    writable.register(target, select.POLLOUT)
    buffer = memoryview(bytearray(_CHUNK))
    tick = int(_TICK_SECONDS * 1000)
    while not pair.cut:
        if not readable.poll(tick):
            continue
        count = source.recv_into(buffer)
        if not count:
            target.shutdown(socket.SHUT_WR)
            return
        rest = buffer[:count]
        while rest and not pair.cut:
            if writable.poll(tick):
                rest = rest[target.send(rest) :]


def _reset(connection: socket.socket) -> None:
    """Close with RST, so that a transfer that was cut off is not mistaken for a complete one."""
    with contextlib.suppress(OSError):  # it is gone already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
