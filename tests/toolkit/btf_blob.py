"""Builds small BTF blobs, and the other facts of a kernel, for tests."""

from __future__ import annotations

import struct


class BtfBlob:
    """Collects types; ids count from 1, as in the kernel's format."""

    def __init__(self) -> None:
        self._strings = b"\0"
        self._types = b""
        self.count = 0

    def text(self, name: str) -> int:
        """Offset of a name in the string section."""
        if not name:
            return 0
        at = len(self._strings)
        self._strings += name.encode() + b"\0"
        return at

    def add(
        self,
        kind: int,
        name: str,
        size_or_type: int,
        *,
        extra: bytes = b"",
        count: int = 0,
        flag: bool = False,
    ) -> int:
        """Add a type; returns its id."""
        info = kind << 24 | count | flag << 31
        self._types += struct.pack("<III", self.text(name), info, size_or_type) + extra
        self.count += 1
        return self.count

    def integer(self, name: str, size: int, *, signed: bool = False) -> int:
        """An INT."""
        return self.add(1, name, size, extra=struct.pack("<I", (1 << 24 if signed else 0) | size * 8))

    def struct(self, name: str, size: int, members: list[tuple[str, int, int, int]]) -> int:
        """A STRUCT of members (name, type, bit offset, bit size)."""
        bits = any(member[3] for member in members)
        rows = [
            struct.pack("<III", self.text(member), kind, at | (width << 24 if bits else 0))
            for member, kind, at, width in members
        ]
        return self.add(4, name, size, extra=b"".join(rows), count=len(rows), flag=bits)

    def bytes(self) -> bytes:
        """The blob."""
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self._types), len(self._types), len(self._strings))
        return header + self._types + self._strings


SLIDE = 0x1A000000
VERSION = b"Linux version 6.1.0-test (builder@host) #1 SMP\n"


def kallsyms() -> bytes:
    """Symbols of a randomised kernel, one of a module, and one that is a by-product."""
    rows = [
        (0xFFFFFFFF81000000 + SLIDE, "T", "_text"),
        (0xFFFFFFFF82000000 + SLIDE, "D", "init_task"),
        (0xFFFFFFFF82001000 + SLIDE, "D", "sys_call_table"),
        (0xFFFFFFFF82001010 + SLIDE, "d", "jiffies_like"),
        (0xFFFFFFFF82001020 + SLIDE, "d", "__func__.1"),
        (0x1000, "A", "per_cpu_thing"),
    ]
    text = "".join(f"{at:016x} {kind} {name}\n" for at, kind, name in rows)
    return (text + "ffffffffc0000000 t module_function\t[lab]\n").encode()


def small() -> bytes:
    """A kernel with one struct, a bit field, an enumeration, a typedef of an anonymous struct and a variable."""
    blob = BtfBlob()
    integer = blob.integer("int", 4, signed=True)
    pointer = blob.add(2, "", 3)
    blob.struct("task_struct", 24, [("pid", integer, 0, 0), ("parent", pointer, 64, 0), ("exited", integer, 133, 3)])
    blob.add(6, "state", 4, extra=struct.pack("<Ii", blob.text("RUNNING"), -1), count=1, flag=True)
    anonymous = blob.struct("", 4, [("counter", integer, 0, 0)])
    blob.add(8, "atomic_t", anonymous)
    blob.add(14, "jiffies_like", integer, extra=struct.pack("<I", 1))
    return blob.bytes()
