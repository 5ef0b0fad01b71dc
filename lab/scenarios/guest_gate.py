"""The way from the guest to the lab: a proxy that kills the sender at chosen parts, however fast either of them is.

A part that begins while enough of the image has landed is held, the sender is killed, and the part is dropped: nothing waits for a
clock, and the same number of parts has landed on every machine.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable

_PART = re.compile(rb"^PUT /[^ ?]*/memory\.lime\?[^ ]*\bpartNumber=(\d+)")
_HEAD_LIMIT = 64 * 1024
_CHUNK = 256 * 1024


class Gate:
    """Listens on loopback at ``port`` and passes on to the lab at ``lab_port``.

    ``kill_at``: before which parts ``kill`` is called, in rising order. ``parts``: how often a part of the image was begun;
    ``killed_at``: how many parts had landed at each kill; ``error``: why a kill failed.
    """

    def __init__(self, lab_port: int, *, kill_at: list[int], kill: Callable[[], None]) -> None:
        self._lab, self._left, self._kill = lab_port, list(kill_at), kill
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.parts = 0
        self.killed_at: list[int] = []
        self.error: Exception | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown(socket.SHUT_RDWR)  # ends the wait for the next connection
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:  # close() ended the wait
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with peer:
            head = _head(peer)
            if not head or self._ends_here(head):
                return
            with socket.create_connection(("127.0.0.1", self._lab)) as lab:
                lab.sendall(head)
                answers = threading.Thread(target=_pump, args=(lab, peer), daemon=True)
                answers.start()
                _pump(peer, lab)
                answers.join()

    def _ends_here(self, head: bytes) -> bool:
        """Counts a part; True for one whose sender has been killed."""
        part = _PART.match(head)
        if part is None:
            return False
        with self._lock:
            self.parts += 1
            if not self._left or int(part.group(1)) < self._left[0]:
                return False
            self._left.pop(0)
            try:
                self._kill()
            except Exception as error:  # handed to the thread that waits for the capture
                self.error = error
                return False
            self.killed_at.append(int(part.group(1)) - 1)
            return True


def _head(peer: socket.socket) -> bytes:
    """The beginning of a request, at least to the end of its headers."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_LIMIT:
        try:
            data = peer.recv(_HEAD_LIMIT)
        except OSError:  # the sender is gone
            return b""
        if not data:
            break
        head += data
    return head


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(_CHUNK):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one end is gone: the other learns it by the end of its stream
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it is closed already
