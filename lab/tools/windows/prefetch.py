"""A prefetch file (SCCA version 23, Windows 7 and Server 2008 R2: the last one that is not compressed)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime

from lab.tools.windows.regf import filetime

_START = 84
_INFORMATION = 156


def scca(name: str, *, run: datetime, count: int, files: Sequence[str]) -> bytes:
    """The file: when a program last ran, how often, and which files it loaded."""
    names, metrics = b"", b""
    for number, file in enumerate(files):
        metrics += struct.pack("<IIIIIIQ", number, 1, 1, len(names), len(file), 0, 0)
        names += file.encode("utf-16-le") + b"\0\0"
    at = _START + _INFORMATION
    place = at + len(metrics)
    information = struct.pack("<9I", at, len(files), place, 0, place, len(names), place + len(names), 0, 0)
    information += struct.pack("<2I3QIII", 0, 0, filetime(run), 0, 0, count, 0, 0)
    header = struct.pack("<I4sII", 23, b"SCCA", 17, place + len(names)) + name.encode("utf-16-le")[:58].ljust(60, b"\0")
    header += struct.pack("<II", 0x1234ABCD, 0)
    return header + information.ljust(_INFORMATION, b"\0") + metrics + names
