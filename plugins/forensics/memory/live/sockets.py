"""Sockets of every network namespace, from the tables of ``/proc/net`` (proc_net_tcp, Documentation/networking). Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from forensics.memory.live.forms import lines
from forensics.models.addresses import public

# include/net/tcp_states.h
STATES = {
    1: "ESTABLISHED", 2: "SYN_SENT", 3: "SYN_RECV", 4: "FIN_WAIT1", 5: "FIN_WAIT2", 6: "TIME_WAIT", 7: "CLOSE", 8: "CLOSE_WAIT",
    9: "LAST_ACK", 10: "LISTEN", 11: "CLOSING",
}  # fmt: skip
LIVE = frozenset({"ESTABLISHED", "SYN_SENT", "SYN_RECV", "CLOSE_WAIT"})
TABLES = ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")
_ROW = re.compile(
    rb"\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{2})"
    rb" \S+ \S+ \S+\s+(\d{1,10})\s+\d+ (\d{1,20})"
)
_SPACE = re.compile(rb"## namespace (\d{1,12}) by process (\d{1,9})\Z")
_TABLE = re.compile(rb"== ([a-z0-9_]{1,20})\Z")


@dataclass(frozen=True, slots=True)
class Socket:
    """One socket; ``namespace`` is 0 for the one of the agent."""

    protocol: str
    local: str
    port: int
    peer: str
    peer_port: int
    state: str
    uid: int
    inode: int
    namespace: int = 0

    @property
    def foreign(self) -> bool:
        """Whether the other end has a public address."""
        return public(self.peer) is not None

    @property
    def ends(self) -> str:
        """Both ends, as a person writes them."""
        return f"{self.protocol} {_end(self.local, self.port)} to {_end(self.peer, self.peer_port)}"


def _end(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def sockets(members: Mapping[str, bytes]) -> list[Socket]:
    """The sockets of the agent's namespace (``10-network-*``) and of the others (``23-connections-elsewhere``)."""
    found = [s for name in TABLES for s in _rows(name, lines(members.get(f"10-network-{name}", b"")), namespace=0)]
    return found + list(_elsewhere(members.get("23-connections-elsewhere", b"")))


def _elsewhere(data: bytes) -> Iterator[Socket]:
    namespace, table = 0, ""
    for line in lines(data):
        if space := _SPACE.match(line):
            namespace, table = int(space[1]), ""
        elif part := _TABLE.match(line):
            table = part[1].decode("ascii")
        elif table in TABLES:
            yield from _rows(table, iter((line,)), namespace=namespace)


def _rows(table: str, rows: Iterator[bytes], *, namespace: int) -> Iterator[Socket]:
    for line in rows:
        match = _ROW.match(line)
        if match is None:
            continue
        state = int(match[5], 16)
        yield Socket(
            protocol=table.rstrip("6"),
            local=_address(match[1]),
            port=int(match[2], 16),
            peer=_address(match[3]),
            peer_port=int(match[4], 16),
            state=STATES.get(state, str(state)),
            uid=int(match[6]),
            inode=int(match[7]),
            namespace=namespace,
        )


def _address(hexadecimal: bytes) -> str:
    """Words of 32 bits in the host's order: little-endian on x86-64 and AArch64 as EC2 runs them."""
    raw = bytes.fromhex(hexadecimal.decode("ascii"))
    ordered = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = ipaddress.ip_address(ordered)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
