"""BPF Type Format: the kernel's own description of its types (/sys/kernel/btf/vmlinux).

Layout as in the kernel's documentation (btf.rst): a header, a type section, a string section.
Type ids count from 1; id 0 is void.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from forensic_toolkit.errors import SymbolError

MAGIC = 0xEB9F


class Kind(IntEnum):
    """The kinds of BTF types, by their number in the format."""

    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


AGGREGATES = (Kind.STRUCT, Kind.UNION)
# Kinds that only decorate another type.
QUALIFIERS = (Kind.TYPEDEF, Kind.VOLATILE, Kind.CONST, Kind.RESTRICT, Kind.TYPE_TAG)


class Member(NamedTuple):
    """A field of a struct or union; offsets in bits."""

    name: str
    type: int
    bit_offset: int
    bit_size: int  # 0: not a bit field


class Type(NamedTuple):
    """One type. ``size_or_type`` is a size in bytes or the id of another type, depending on the kind."""

    kind: int
    name: str
    size_or_type: int
    flag: bool
    extra: Any


@dataclass(frozen=True, slots=True)
class Btf:
    """All types by id; ``types[0]`` is void."""

    types: list[Type]
    little_endian: bool

    def resolve(self, type_id: int) -> int:
        """The id of the underlying type, without typedefs and qualifiers; 0 for void."""
        for _ in range(64):
            if type_id == 0 or self.types[type_id].kind not in QUALIFIERS:
                return type_id
            type_id = self.types[type_id].size_or_type
        raise SymbolError(f"BTF: type {type_id} refers to itself")


def parse(raw: bytes) -> Btf:
    """Parse a BTF blob. Raises SymbolError when it is not BTF or truncated."""
    order = _byte_order(raw)
    try:
        _magic, version, _flags, header, type_at, type_size, text_at, text_size = struct.unpack_from(
            f"{order}HBBIIIII", raw
        )
        if version != 1:
            raise SymbolError(f"BTF version {version} is not known; version 1 is")
        begin, end = header + type_at, header + type_at + type_size
        text = raw[header + text_at : header + text_at + text_size]
        if end > len(raw) or len(text) != text_size:
            raise SymbolError(f"BTF is truncated: it has {len(raw)} bytes and announces more")
        return Btf(
            types=_types(raw, begin=begin, end=end, strings=_Strings(text), order=order),
            little_endian=order == "<",
        )
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise SymbolError(f"BTF cannot be read: {error}") from error


def _byte_order(raw: bytes) -> str:
    for order in "<>":
        if len(raw) >= 2 and struct.unpack_from(f"{order}H", raw)[0] == MAGIC:
            return order
    raise SymbolError("this is not BTF: the first two bytes are not its magic number")


class _Strings:
    """The string section, by offset."""

    def __init__(self, section: bytes) -> None:
        self._section = section
        self._known: dict[int, str] = {}

    def __getitem__(self, offset: int) -> str:
        known = self._known.get(offset)
        if known is None:
            end = self._section.find(b"\0", offset)
            if end < 0:
                raise IndexError(f"string at {offset} lies outside the string section")
            known = self._known[offset] = self._section[offset:end].decode()
        return known


def _types(raw: bytes, *, begin: int, end: int, strings: _Strings, order: str) -> list[Type]:
    position = begin
    head = struct.Struct(f"{order}III")
    types = [Type(0, "void", 0, False, None)]
    while position < end:
        name, info, size_or_type = head.unpack_from(raw, position)
        position += head.size
        extra, length = _extra(raw, at=position, info=info, strings=strings, order=order)
        position += length
        types.append(Type((info >> 24) & 0x1F, strings[name], size_or_type, bool(info >> 31), extra))
    return types


def _extra(raw: bytes, *, at: int, info: int, strings: _Strings, order: str) -> tuple[Any, int]:
    """What follows the common part of a type, and its length in bytes."""
    kind, count, flag = (info >> 24) & 0x1F, info & 0xFFFF, bool(info >> 31)
    match kind:
        case Kind.STRUCT | Kind.UNION:
            rows = struct.iter_unpack(f"{order}III", raw[at : at + 12 * count])
            # With the flag set the upper byte of an offset holds the width of a bit field.
            members = [
                Member(strings[name], type_id, bits & 0xFFFFFF if flag else bits, bits >> 24 if flag else 0)
                for name, type_id, bits in rows
            ]
            return members, 12 * count
        case Kind.INT | Kind.VAR | Kind.DECL_TAG:
            return struct.unpack_from(f"{order}I", raw, at)[0], 4
        case Kind.ARRAY:
            return struct.unpack_from(f"{order}III", raw, at), 12
        case Kind.ENUM:
            rows = struct.iter_unpack(f"{order}I{'i' if flag else 'I'}", raw[at : at + 8 * count])
            return {strings[name]: value for name, value in rows}, 8 * count
        case Kind.ENUM64:
            shape = f"{order}IIi" if flag else f"{order}III"
            rows = struct.iter_unpack(shape, raw[at : at + 12 * count])
            return {strings[name]: low | (high << 32) for name, low, high in rows}, 12 * count
        case Kind.FUNC_PROTO:
            return None, 8 * count
        case Kind.DATASEC:
            return None, 12 * count
        case _ if kind in tuple(Kind):
            return None, 0
        case _:
            raise SymbolError(f"BTF type kind {kind} is not known: a kernel newer than this toolkit")
