"""The compatibility cache (AppCompatCache) as Windows 10 and Server 2016 to 2022 keep it in the SYSTEM hive, after the published descriptions."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from datetime import datetime

from lab.tools.windows.regf import filetime

_HEADER = 0x34


def cache(files: Mapping[str, datetime]) -> bytes:
    """The value's bytes: paths of programs and when each file was last changed, the newest entry first."""
    entries = b""
    for path, changed in files.items():
        name = path.encode("utf-16-le")
        data = struct.pack("<H", len(name)) + name + struct.pack("<QI", filetime(changed), 0)
        entries += b"10ts" + struct.pack("<II", zlib.crc32(data), len(data)) + data
    return struct.pack("<I", _HEADER).ljust(_HEADER, b"\0") + entries
