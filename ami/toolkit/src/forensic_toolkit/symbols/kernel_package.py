"""A symbol table from a distribution's debug package: by dwarf2json where it is installed, else from the kernel's BTF.

Also a separate, confined program: ``python -m forensic_toolkit.symbols.kernel_package PACKAGE FOLDER`` writes
``FOLDER/symbols`` (.json.xz) and prints one JSON line: ``{"banner", "method", "symbols", "kernel_sha256", "notes"}``.
dwarf2json (Volatility Software License) is run as a separate program.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import mmap
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forensic_toolkit.errors import SymbolError
from forensic_toolkit.printable import printable
from forensic_toolkit.symbols import archives, isf

DWARF, BTF = "dwarf", "btf"
DWARF_SECONDS = 1800.0
_FILE, _SECTION = 4, 3  # STT_FILE, STT_SECTION
_UNDEFINED = 0
_NOBITS = 8
_MACHINES = (62, 183)  # EM_X86_64, EM_AARCH64


@dataclass(frozen=True, slots=True)
class _Part:
    """A section of an ELF file; address, offset and size in bytes."""

    name: str
    kind: int
    address: int
    offset: int
    size: int


class Kernel:
    """A vmlinux of x86-64 or AArch64, mapped. Raises SymbolError for anything else."""

    def __init__(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._parts = {part.name: part for part in _parts(self._data)}
        except (OSError, struct.error, ValueError, IndexError) as error:
            raise SymbolError(f"the kernel is not a complete 64-bit ELF file: {error}") from error

    def section(self, name: str) -> bytes | None:
        """The content of a section; None when it is missing or empty."""
        part = self._parts.get(name)
        if part is None or part.kind == _NOBITS or not part.size:
            return None
        return bytes(self._data[part.offset : part.offset + part.size])

    def symbols(self) -> list[tuple[int, str]]:
        """(address, name) of all symbols, by address."""
        table, texts = self.section(".symtab"), self.section(".strtab")
        if table is None or texts is None:
            raise SymbolError("the kernel has no symbol table: it was stripped; take the debug package")
        found = []
        for name, info, _other, section, value, _size in struct.iter_unpack("<IBBHQQ", table[: len(table) // 24 * 24]):
            if name and section != _UNDEFINED and info & 15 not in (_FILE, _SECTION):
                found.append((value, texts[name : texts.index(b"\0", name)].decode("ascii", "replace")))
        return sorted(found)

    def text_at(self, address: int) -> bytes:
        """The zero-terminated text at an address of the running kernel."""
        for part in self._parts.values():
            if part.kind != _NOBITS and part.address and 0 <= address - part.address < part.size:
                start = part.offset + address - part.address
                return bytes(self._data[start : self._data.find(b"\0", start, start + 1024)])
        raise SymbolError("the kernel's banner is in no section of the file")


def _parts(data: mmap.mmap) -> list[_Part]:
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 18)[0] not in _MACHINES:
        raise ValueError("it is not for x86-64 or AArch64")
    table, count, names = *struct.unpack_from("<Q", data, 40), *struct.unpack_from("<HH", data, 60)
    raw = [struct.unpack_from("<IIQQQQ", data, table + 64 * number) for number in range(count)]
    texts = raw[names][4]
    found = []
    for name, kind, _flags, address, offset, size in raw:
        start = texts + name
        found.append(
            _Part(data[start : data.find(b"\0", start)].decode("ascii", "replace"), kind, address, offset, size)
        )
    return found


def build(path: Path) -> tuple[isf.Json, str, list[str]]:
    """The table, the method that built it, and why other methods were not used. Raises SymbolError."""
    kernel = Kernel(path)
    symbols = kernel.symbols()
    place = next((address for address, name in symbols if name == "linux_banner"), None)
    if place is None:
        raise SymbolError("the kernel has no symbol linux_banner")
    banner = kernel.text_at(place)
    notes: list[str] = []
    program = shutil.which("dwarf2json")
    if program is None:
        notes.append("dwarf2json is not installed")
    elif kernel.section(".debug_info") is None:
        notes.append("the kernel carries no debug information")
    else:
        try:
            return _by_dwarf(program, path, banner=banner), DWARF, notes
        except SymbolError as error:
            notes.append(str(error))
    types = kernel.section(".BTF")
    if types is None:
        raise SymbolError(f"no table can be built: {'; '.join(notes)}; and the kernel carries no BTF")
    names = "".join(f"{address:016x} T {name}\n" for address, name in symbols).encode()
    return isf.build(isf.KernelFacts(btf=types, kallsyms=names, version=banner)), BTF, notes


def _by_dwarf(program: str, path: Path, *, banner: bytes) -> isf.Json:
    try:
        done = subprocess.run(
            [program, "linux", "--elf", str(path)], capture_output=True, check=False, timeout=DWARF_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SymbolError(f"dwarf2json could not be run: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["nothing"]
        raise SymbolError(f"dwarf2json failed with exit status {done.returncode}: {printable(said[0])}")
    try:
        table = json.loads(done.stdout)
    except ValueError as error:
        raise SymbolError(f"dwarf2json's output is not JSON: {error}") from error
    if not isinstance(table, dict) or not isinstance(table.get("symbols"), dict):
        raise SymbolError("dwarf2json's output is not a symbol table")
    if isf.banner_of(table).rstrip(b"\n") != banner.rstrip(b"\n"):
        raise SymbolError("dwarf2json's table belongs to another kernel than the file")
    return table


def main(argv: list[str]) -> int:
    """Build the table of the package ``argv[1]`` in the folder ``argv[2]``."""
    package, folder = Path(argv[1]), Path(argv[2])
    path = archives.kernel(package, into=folder / "vmlinux")
    table, method, notes = build(path)
    (folder / "symbols").write_bytes(lzma.compress(isf.dump(table), preset=6))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    said: dict[str, Any] = {
        "banner": isf.banner_of(table).decode("ascii", "backslashreplace").rstrip("\n"),
        "method": method,
        "symbols": len(table["symbols"]),
        "kernel_sha256": digest,
        "notes": notes,
    }
    sys.stdout.write(json.dumps(said) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv))
    except SymbolError as failure:
        sys.stderr.write(f"{failure}\n")
        sys.exit(1)
