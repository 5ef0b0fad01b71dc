"""The way out of a sandbox: its connections come from the address by which the lab knows the host."""

from __future__ import annotations

import socket

import pytest

from lab.hosts.sandbox.gate import Gate


@pytest.mark.parametrize(("source", "expected"), [("127.77.0.9", "127.77.0.9"), ("", "127.0.0.1")])
def test_connections_come_from_the_hosts_address(source: str, expected: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as lab, socket.create_server(("127.0.0.1", 0)) as inside:
        gate = Gate(lab.getsockname()[:2], reachable=lambda: True, source=source)
        gate.adopt(inside)
        try:
            with socket.create_connection(inside.getsockname()) as client:
                lab.settimeout(60)
                connection, peer = lab.accept()
                with connection:
                    client.sendall(b"x")
                    assert (peer[0], connection.recv(1)) == (expected, b"x")
        finally:
            gate.close()
