"""Extract the kernel's ELF file from a package.

Formats: .deb (deb(5)), .rpm (rpm's file format with cpio(5) newc payload), or the bare ELF file.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import struct
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import zstandard

from forensic_toolkit.errors import SymbolError

ELF = b"\x7fELF"
_AR, _RPM = b"!<arch>\n", b"\xed\xab\xee\xdb"
_HEADER = b"\x8e\xad\xe8"
_KERNEL = re.compile(r"(?:.*/)?vmlinux(?:-[A-Za-z0-9._+-]+)?(?:\.debug)?")
MAX_KERNEL = 4 << 30
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"\xfd7zXZ": lzma.LZMAFile,
    b"BZh": bz2.BZ2File,
    b"\x28\xb5\x2f\xfd": lambda file: zstandard.ZstdDecompressor().stream_reader(file),
}


def kernel(package: Path, *, into: Path) -> Path:
    """Extract the kernel's ELF file to ``into`` and return its path; a bare ELF file stays where it is. Raises SymbolError."""
    with package.open("rb") as file:
        head = file.read(8)
        file.seek(0)
        try:
            if head.startswith(ELF):
                return package
            if head == _AR:
                found = _from_deb(file, into=into)
            elif head.startswith(_RPM):
                found = _from_rpm(file, into=into)
            else:
                raise SymbolError(f"it is not a .deb, .rpm or ELF file: it begins with {head.hex()}")
        except (
            EOFError,
            OSError,
            lzma.LZMAError,
            zstandard.ZstdError,
            tarfile.TarError,
            struct.error,
            ValueError,
        ) as error:
            raise SymbolError(f"the package cannot be unpacked: {type(error).__name__}: {error}") from error
    if not found:
        raise SymbolError("the package holds no vmlinux: it is not the kernel's debug package")
    return into


def _opened(file: IO[bytes]) -> IO[bytes]:
    """A decompressing stream, chosen by the first bytes."""
    head = file.read(6)
    file.seek(-len(head), io.SEEK_CUR)
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
    unpacked: IO[bytes] = opener(file) if opener else file
    return unpacked


def _from_deb(file: IO[bytes], *, into: Path) -> bool:
    file.seek(8)
    while header := file.read(60):
        name, size = header[:16].decode("ascii").strip(" /"), int(header[48:58])
        if name.startswith("data.tar"):
            with tarfile.open(fileobj=_opened(file), mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isreg() and _KERNEL.fullmatch(member.name) else None
                    if content is not None and _copied(content, size=member.size, into=into):
                        return True
            return False
        file.seek(size + size % 2, io.SEEK_CUR)
    return False


def _from_rpm(file: IO[bytes], *, into: Path) -> bool:
    file.seek(96)
    for aligned in (True, False):
        head = file.read(16)
        if head[:3] != _HEADER:
            raise ValueError("a header of the .rpm is not where it belongs")
        count, size = struct.unpack(">II", head[8:])
        length = 16 * count + size
        # The signature is padded to eight bytes, the header is not.
        file.seek(length + (-length % 8 if aligned else 0), io.SEEK_CUR)
    return any(_copied(content, size=size, into=into) for content, size in _members(_opened(file)))


def _members(stream: IO[bytes]) -> Iterator[tuple[IO[bytes], int]]:
    """Kernels among the files of a cpio archive; the caller must read each one completely before the next."""
    while True:
        header = stream.read(110)
        if header[:6] not in (b"070701", b"070702"):
            raise ValueError("the payload is not a cpio archive in newc format")
        fields = [int(header[6 + 8 * number : 14 + 8 * number], 16) for number in range(13)]
        size, name_size = fields[6], fields[11]
        name = stream.read(name_size + -(110 + name_size) % 4).split(b"\0")[0].decode("utf-8", "replace")
        if name == "TRAILER!!!":
            return
        if size and _KERNEL.fullmatch(name):
            yield stream, size
        else:
            _skip(stream, size)
        _skip(stream, -size % 4)


def _skip(stream: IO[bytes], size: int) -> None:
    while size:
        read = len(stream.read(min(size, 1 << 20)))
        if not read:
            raise EOFError("the archive is truncated")
        size -= read


def _copied(content: IO[bytes], *, size: int, into: Path) -> bool:
    """Write ``size`` bytes; if they are not an ELF file, write nothing and return False."""
    if size > MAX_KERNEL:
        raise ValueError(f"a kernel of {size} bytes exceeds the limit of {MAX_KERNEL}")
    head = content.read(min(size, 64))
    if not head.startswith(ELF):
        _skip(content, size - len(head))
        return False
    with into.open("wb") as out:
        out.write(head)
        left = size - len(head)
        while left:
            chunk = content.read(min(left, 1 << 20))
            if not chunk:
                raise EOFError("the kernel is truncated")
            out.write(chunk)
            left -= len(chunk)
    return True
