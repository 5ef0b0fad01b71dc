"""Symbol tables for Volatility 3 (Intermediate Symbol Format 6.2.0) from BTF, kallsyms and /proc/version."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import lzma
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from forensic_toolkit import __version__
from forensic_toolkit.errors import SymbolError
from forensic_toolkit.symbols.btf import AGGREGATES, Btf, Kind, Member, Type, parse

Json = dict[str, Any]
# Where x86-64 kernels are linked. kallsyms has addresses after randomisation; the table needs those before.
LINK_ADDRESS = 0xFFFFFFFF81000000
KERNEL_SPACE = 0xFFFFFFFF80000000
# AArch64 kernels are linked at places that depend on their address bits; tables name one for all of them, below every real place,
# so that the distance is positive. The text begins 64 KiB after the image (Linux, Documentation/arch/arm64/memory.rst, booting.rst).
ARM64_HALF, ARM64_TEXT = 0xFFF0_0000_0000_0000, 0xFFFF_8000_0001_0000
_POINTER_SIZE = 8
MAX_TABLE = 1 << 30
# By-products of compilation and tracing: a quarter of all symbols, used by no plugin, expensive to load.
_BY_PRODUCT = re.compile(
    r"__ksym|__kstr|__crc_|__UNIQUE_ID|__func__|__already_done|__event_|__bpf_trace_|__SC[KT]__|__tpstrtab_|__param_"
    r"|__setup_|__initcall|__key\.|print_fmt_|___tp_str|trace_event_(fields|type_funcs|raw)|descriptor\.|_rs\."
)
_SIGNED, _CHAR, _BOOL = 1, 2, 4


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """Files that describe the kernel, as the capture collected them."""

    btf: bytes
    kallsyms: bytes
    version: bytes

    @property
    def banner(self) -> bytes:
        """The text by which Volatility matches an image with a table, as it appears in memory."""
        return self.version.rstrip(b"\n\0") + b"\n"


def build(facts: KernelFacts) -> Json:
    """Build the table. Raises SymbolError naming the input that cannot be used."""
    if not facts.version.startswith(b"Linux version "):
        raise SymbolError("the kernel's version text does not begin with 'Linux version'")
    btf = parse(facts.btf)
    if not btf.little_endian:
        raise SymbolError("BTF of a big-endian kernel: only x86-64 and AArch64 are supported")
    addresses = read_kallsyms(facts.kallsyms.decode("utf-8", "replace"))
    if "init_task" not in addresses:
        raise SymbolError(
            "kallsyms lists no data, only functions (CONFIG_KALLSYMS_ALL is not set): without init_task no process is found"
        )
    types = _TypeTable(btf)
    symbols = _symbols(addresses, types=types)
    # Volatility reads the banner from the table, not from this address; 0 would be read as "absent".
    banner = symbols.setdefault("linux_banner", {"address": LINK_ADDRESS, "type": _array(_base("char"), 0)})
    banner["constant_data"] = base64.b64encode(facts.banner + b"\0").decode()
    return {
        "metadata": {
            "linux": {
                "symbols": [_origin("kallsyms", name="kallsyms", content=facts.kallsyms)],
                "types": [_origin("btf", name="vmlinux", content=facts.btf)],
            },
            "producer": {"name": "forensic-toolkit", "version": __version__},
            "format": "6.2.0",
        },
        "base_types": types.base,
        "user_types": types.user,
        "enums": types.enums,
        "symbols": symbols,
    }


def dump(table: Json) -> bytes:
    """The table as compact JSON; the same facts give the same bytes."""
    return json.dumps(table, separators=(",", ":"), sort_keys=True).encode()


def load(path: Path) -> Json:
    """Load a compressed table (.json.xz) of at most ``MAX_TABLE`` bytes. Raises SymbolError."""
    try:
        unpacker = lzma.LZMADecompressor(memlimit=256 << 20)
        text = unpacker.decompress(path.read_bytes(), max_length=MAX_TABLE)
        table = json.loads(text) if unpacker.eof else None
    except (OSError, lzma.LZMAError, ValueError) as error:
        raise SymbolError(f"the table cannot be read: {error}") from error
    if not isinstance(table, dict) or not isinstance(table.get("symbols"), dict):
        raise SymbolError(f"the table is truncated, larger than {MAX_TABLE >> 20} MiB or not a symbol table")
    return table


def banner_of(table: Json) -> bytes:
    """The banner of a table's kernel. Raises SymbolError."""
    coded = table["symbols"].get("linux_banner", {}).get("constant_data")
    try:
        return base64.b64decode(coded or "", validate=True).rstrip(b"\0\n") + b"\n"
    except ValueError as error:
        raise SymbolError("the banner of the table is not base64") from error


def _origin(kind: str, *, name: str, content: bytes) -> Json:
    digest = hashlib.sha256(content).hexdigest()
    return {"kind": kind, "name": name, "hash_type": "sha256", "hash_value": digest}


def read_kallsyms(text: str) -> dict[str, int]:
    """Addresses by name before randomisation; modules' symbols are left out. Raises SymbolError."""
    found: dict[str, int] = {}
    for line in text.splitlines():
        fields = line.split()
        # A fourth field names a module; names with $ are mapping symbols.
        if len(fields) == 3 and not fields[2].startswith("$") and not _BY_PRODUCT.match(fields[2]):
            try:
                found.setdefault(fields[2], int(fields[0], 16))
            except ValueError as error:
                raise SymbolError(f"kallsyms: '{fields[0][:40]}' is not an address") from error
    if not any(found.values()):
        raise SymbolError("kallsyms holds no addresses (kernel.kptr_restrict, or not read as root)")
    start, begins = found.get("_text", 0), found.get("_stext", 0)
    if start >= KERNEL_SPACE:
        slide, lowest = start - LINK_ADDRESS, KERNEL_SPACE
    elif ARM64_HALF <= begins < KERNEL_SPACE:  # Debian's 6.1 for arm64 does not list '_text'
        slide, lowest = begins - ARM64_TEXT, ARM64_HALF
    else:
        raise SymbolError(
            "kallsyms: neither '_text' nor '_stext' at the addresses of x86-64 or AArch64 kernels; others are not supported"
        )
    return {name: at - slide if at >= lowest else at for name, at in found.items()}


def _base(name: str) -> Json:
    return {"kind": "base", "name": name}


def _array(subtype: Json, count: int) -> Json:
    return {"kind": "array", "count": count, "subtype": subtype}


class _TypeTable:
    """BTF's types in the form of the table: base types, structs and unions, enumerations."""

    def __init__(self, btf: Btf) -> None:
        self._btf = btf
        self._names = self._name_anonymous()
        self.base: dict[str, Json] = {
            "void": _number(0, signed=False, kind="void"),
            "pointer": _number(_POINTER_SIZE, signed=False, kind="int"),
            "char": _number(1, signed=True, kind="char"),
            "unsigned char": _number(1, signed=False, kind="char"),
            "short unsigned int": _number(2, signed=False, kind="int"),
            "int": _number(4, signed=True, kind="int"),
            "unsigned int": _number(4, signed=False, kind="int"),
            "long unsigned int": _number(8, signed=False, kind="int"),
        }
        self.user: dict[str, Json] = {}
        self.enums: dict[str, Json] = {}
        self.variables: dict[str, Json] = {}
        for type_id, entry in enumerate(btf.types):
            if entry.kind in AGGREGATES:
                self.user.setdefault(self.name(type_id), self._aggregate(type_id))
            elif entry.kind in (Kind.ENUM, Kind.ENUM64):
                self.enums.setdefault(self.name(type_id), _enumeration(entry.size_or_type, entry.extra))
            elif entry.kind == Kind.VAR:
                self.variables.setdefault(entry.name, self.describe(entry.size_or_type))
        for entry in btf.types:
            if entry.kind == Kind.FWD:
                kind = "union" if entry.flag else "struct"
                self.user.setdefault(entry.name, {"size": 0, "kind": kind, "fields": {}})

    def _name_anonymous(self) -> dict[int, str]:
        """An aggregate without a name takes that of the typedef that names it."""
        names: dict[int, str] = {}
        for entry in self._btf.types:
            named = entry.size_or_type
            if entry.kind == Kind.TYPEDEF and named and not self._btf.types[named].name:
                names.setdefault(named, entry.name)
        return names

    def name(self, type_id: int) -> str:
        """The name of an aggregate or enumeration."""
        return self._btf.types[type_id].name or self._names.get(type_id) or f"unnamed_{type_id:x}"

    def with_members(self, names: list[str]) -> str | None:
        """The first struct whose fields are exactly ``names``."""
        for type_id, entry in enumerate(self._btf.types):
            if entry.kind == Kind.STRUCT and [member.name for member in entry.extra] == names:
                return self.name(type_id)
        return None

    def describe(self, type_id: int) -> Json:
        """The table's description of a type."""
        type_id = self._btf.resolve(type_id)
        entry = self._btf.types[type_id]
        match entry.kind:
            case Kind.INT | Kind.FLOAT:
                self.base[entry.name] = _scalar(entry)
                return _base(entry.name)
            case Kind.PTR:
                return {"kind": "pointer", "subtype": self.describe(entry.size_or_type)}
            case Kind.ARRAY:
                element, _index, count = entry.extra
                return _array(self.describe(element), count)
            case Kind.STRUCT | Kind.UNION:
                kind = "struct" if entry.kind == Kind.STRUCT else "union"
                return {"kind": kind, "name": self.name(type_id)}
            case Kind.FWD:
                return {"kind": "union" if entry.flag else "struct", "name": entry.name}
            case Kind.ENUM | Kind.ENUM64:
                return {"kind": "enum", "name": self.name(type_id)}
            case Kind.FUNC | Kind.FUNC_PROTO:
                return {"kind": "function"}
            case _:
                return _base("void")

    def _aggregate(self, type_id: int) -> Json:
        entry = self._btf.types[type_id]
        fields: dict[str, Json] = {}
        unnamed = 0
        for member in entry.extra:
            description = self._field(member)
            name = member.name
            if not name:
                name, description["anonymous"] = f"unnamed_field_{unnamed:x}", True
                unnamed += 1
            fields[name] = description
        kind = "struct" if entry.kind == Kind.STRUCT else "union"
        return {"size": entry.size_or_type, "kind": kind, "fields": fields}

    def _field(self, member: Member) -> Json:
        described = self.describe(member.type)
        if not member.bit_size:
            return {"type": described, "offset": member.bit_offset // 8}
        # A bit field is read from the naturally aligned storage unit of its type.
        unit = 8 * max(1, self._btf.types[self._btf.resolve(member.type)].size_or_type)
        start = member.bit_offset // unit * unit
        bits = {"bit_position": member.bit_offset - start, "bit_length": member.bit_size}
        return {"type": {"kind": "bitfield", **bits, "type": described}, "offset": start // 8}


def _number(size: int, *, signed: bool, kind: str) -> Json:
    return {"size": size, "signed": signed, "kind": kind, "endian": "little"}


def _scalar(entry: Type) -> Json:
    name, size = entry.name, entry.size_or_type
    if entry.kind == Kind.FLOAT:
        return _number(size, signed=True, kind="float")
    flags = (entry.extra >> 24) & 0xF
    if flags & _BOOL:
        return _number(size, signed=False, kind="bool")
    is_char = flags & _CHAR or (size == 1 and "char" in name)
    return _number(size, signed=bool(flags & _SIGNED), kind="char" if is_char else "int")


def _enumeration(size: int, constants: dict[str, int]) -> Json:
    base = {1: "unsigned char", 2: "short unsigned int", 8: "long unsigned int"}.get(size, "unsigned int")
    return {"size": size, "base": base, "constants": constants}


def _symbols(addresses: dict[str, int], *, types: _TypeTable) -> dict[str, Json]:
    source = resources.files("forensic_toolkit.symbols").joinpath("symbol_hints.json")
    hints = json.loads(source.read_text("utf-8"))["types"]
    sizes = _distances(addresses, wanted=set(hints))
    symbols: dict[str, Json] = {}
    untyped = _array(_base("char"), 0)
    for name, address in addresses.items():
        described = types.variables.get(name)
        if described is None and name in hints:
            described = _hinted(hints[name], types=types, room=sizes.get(name, 0))
        symbols[name] = {"address": address, "type": described or untyped}
    return symbols


def _distances(addresses: dict[str, int], *, wanted: set[str]) -> dict[str, int]:
    """Bytes from a symbol to the next one: the upper bound of its size."""
    ordered = sorted(set(addresses.values()))
    following = dict(itertools.pairwise(ordered))
    return {name: following.get(at, at) - at for name, at in addresses.items() if name in wanted}


def _hinted(hint: Any, *, types: _TypeTable, room: int) -> Json | None:
    """A type from the hint table, or None when this kernel has no such struct."""
    if isinstance(hint, str):
        return {"kind": types.user[hint]["kind"], "name": hint} if hint in types.user else None
    (kind, inner), *_ = hint.items()
    match kind:
        case "base":
            return _base(inner)
        case "function":
            return {"kind": "function"}
        case "members":
            name = types.with_members(inner)
            return {"kind": "struct", "name": name} if name else None
    described = _hinted(inner, types=types, room=room)
    if described is None:
        return None
    if kind == "pointer":
        return {"kind": "pointer", "subtype": described}
    return _array(described, hint.get("count") or room // max(1, _size(described, types=types)))


def _size(described: Json, *, types: _TypeTable) -> int:
    match described["kind"]:
        case "pointer" | "function":
            return _POINTER_SIZE
        case "base":
            return int(types.base[described["name"]]["size"])
        case _:
            return int(types.user.get(described["name"], {"size": 0})["size"])
