"""An ssh ProxyCommand that connects from a chosen source port: `relay.py SOURCE_PORT PORT`."""

from __future__ import annotations

import os
import socket
import sys
import threading

_CHUNK = 65536


def relay(source_port: int, *, port: int) -> None:
    """Copy both ways between the standard streams and 127.0.0.1:port until the far end closes."""
    with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.1", source_port)) as link:
        threading.Thread(target=_upward, args=(link,), daemon=True).start()
        while data := link.recv(_CHUNK):
            os.write(sys.stdout.fileno(), data)


def _upward(link: socket.socket) -> None:
    while data := os.read(sys.stdin.fileno(), _CHUNK):
        link.sendall(data)
    link.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    relay(int(sys.argv[1]), port=int(sys.argv[2]))
