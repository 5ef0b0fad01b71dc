"""Packet filter rules by netlink, for machines without nft: tables, chains, a handful of expressions (linux/nf_tables.h)."""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass, field

NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES, INET = 12, 10, 1
NEWTABLE, DELTABLE, NEWCHAIN, NEWRULE = 0, 2, 3, 6
BATCH_BEGIN, BATCH_END = 0x10, 0x11
REQUEST, ACK, CREATE, APPEND = 1, 4, 0x400, 0x800
PREROUTING, FORWARD, OUTPUT = 0, 2, 3
DROP, ACCEPT = 0, 1
REG = 8  # NFT_REG32_00
STATE_ESTABLISHED_RELATED = 2 | 4


def attribute(kind: int, payload: bytes, *, nested: bool = False) -> bytes:
    """One netlink attribute, padded."""
    length = 4 + len(payload)
    return struct.pack("=HH", length, kind | (0x8000 if nested else 0)) + payload + bytes(-length % 4)


def nest(kind: int, *parts: bytes) -> bytes:
    """Attributes inside an attribute."""
    return attribute(kind, b"".join(parts), nested=True)


def number(kind: int, value: int) -> bytes:
    """A 32-bit number in network order."""
    return attribute(kind, struct.pack("!I", value))


def text(kind: int, value: str) -> bytes:
    """A zero-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def expression(name: str, *data: bytes) -> bytes:
    """An element of a rule's expression list."""
    return nest(1, text(1, name), nest(2, *data))


def value(raw: bytes) -> bytes:
    """NFTA_DATA_VALUE."""
    return attribute(1, raw)


def verdict(code: int) -> bytes:
    """Accept or drop."""
    return expression("immediate", number(1, 0), nest(2, nest(2, attribute(1, struct.pack("!i", code)))))


def established() -> bytes:
    """``ct state established,related``."""
    state = expression("ct", number(1, REG), number(2, 0))
    mask = struct.pack("=I", STATE_ESTABLISHED_RELATED)
    bits = expression(
        "bitwise", number(1, REG), number(2, REG), number(3, 4), nest(4, value(mask)), nest(5, value(bytes(4)))
    )
    return state + bits + expression("cmp", number(1, REG), number(2, 1), nest(3, value(bytes(4))))


def interface(name: str, *, outgoing: bool = False, other: bool = False) -> bytes:
    """``iifname`` or ``oifname`` is, or with ``other`` is not, a name."""
    key = 7 if outgoing else 6
    padded = name.encode().ljust(16, b"\0")
    return expression("meta", number(1, 1), number(2, key)) + expression(
        "cmp", number(1, 1), number(2, 1 if other else 0), nest(3, value(padded))
    )


def tcp_port(port: int) -> bytes:
    """``tcp dport``."""
    protocol = expression("meta", number(1, REG), number(2, 16)) + expression(
        "cmp", number(1, REG), number(2, 0), nest(3, value(b"\x06"))
    )
    field_ = expression("payload", number(1, REG), number(2, 2), number(3, 2), number(4, 2))
    return protocol + field_ + expression("cmp", number(1, REG), number(2, 0), nest(3, value(struct.pack("!H", port))))


def destination(address: str) -> bytes:
    """``ip daddr`` or ``ip6 daddr``."""
    six = ":" in address
    raw = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, address)
    family = expression("meta", number(1, REG), number(2, 15)) + expression(
        "cmp", number(1, REG), number(2, 0), nest(3, value(bytes([socket.AF_INET6 if six else socket.AF_INET])))
    )
    place = expression("payload", number(1, 1), number(2, 1), number(3, 24 if six else 16), number(4, len(raw)))
    return family + place + expression("cmp", number(1, 1), number(2, 0), nest(3, value(raw)))


def untracked() -> bytes:
    """``notrack``."""
    return expression("notrack")


@dataclass
class Table:
    """One table whose whole content is replaced at once; packets see either the old or the new rules."""

    name: str
    chains: list[tuple[str, int, int, int]] = field(default_factory=list)
    rules: list[tuple[str, bytes]] = field(default_factory=list)

    def chain(self, name: str, *, hook: int, priority: int, policy: int) -> None:
        """A base chain."""
        self.chains.append((name, hook, priority, policy))

    def rule(self, chain: str, *expressions: bytes) -> None:
        """A rule at the end of a chain."""
        self.rules.append((chain, b"".join(expressions)))

    def load(self) -> None:
        """Replace the table in the kernel. Raises OSError with the kernel's errno."""
        messages = [_message(NEWTABLE, CREATE, text(1, self.name)), _message(DELTABLE, 0, text(1, self.name))]
        messages.append(_message(NEWTABLE, CREATE, text(1, self.name)))
        for name, hook, priority, policy in self.chains:
            hooked = nest(4, number(1, hook), attribute(2, struct.pack("!i", priority)))
            body = text(1, self.name) + text(3, name) + hooked + number(5, policy) + text(7, "filter")
            messages.append(_message(NEWCHAIN, CREATE, body))
        for chain, expressions in self.rules:
            body = text(1, self.name) + text(2, chain) + nest(4, expressions)
            messages.append(_message(NEWRULE, CREATE | APPEND, body))
        _send(messages)


def _header(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body


def _message(kind: int, flags: int, attributes: bytes) -> tuple[int, int, bytes]:
    return (NFNL_SUBSYS_NFTABLES << 8) | kind, REQUEST | ACK | flags, struct.pack("=BBH", INET, 0, 0) + attributes


def _send(messages: list[tuple[int, int, bytes]]) -> None:
    family = struct.pack("=BBH", 0, 0, socket.htons(NFNL_SUBSYS_NFTABLES))
    wire = [_header(BATCH_BEGIN, REQUEST, 0, family)]
    wire += [_header(kind, flags, n, body) for n, (kind, flags, body) in enumerate(messages, 1)]
    wire.append(_header(BATCH_END, REQUEST, len(messages) + 1, family))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as link:
        link.bind((0, 0))
        link.settimeout(5)
        link.send(b"".join(wire))
        answered = 0
        while answered < len(messages):
            data = link.recv(65536)
            while data:
                length, kind, _, sequence, _ = struct.unpack("=IHHII", data[:16])
                if kind == 2:
                    (error,) = struct.unpack("=i", data[16:20])
                    answered += 1
                    if error:
                        raise OSError(-error, f"{os.strerror(-error)} (message {sequence})")
                data = data[(length + 3) & ~3 :]
