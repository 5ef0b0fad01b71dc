"""Queues of BITS in the forms of Windows 10 (records within a database's pages) and 7 (qmgr0.dat), by what readers.bits_jobs names as sources."""

from __future__ import annotations

import struct
import uuid
from datetime import datetime

from tests.toolkit.shortcut_blobs import filetime

JOB_10 = bytes.fromhex("a15609e143afc94292e66f9856eba7f6")
JOB_7 = bytes.fromhex("8c93ea64030f6840b46ff97fe51d4dcd")
FILE_10 = bytes.fromhex("e4cf9e5146d99743b73e268513051ab2")
TRANSFER = bytes.fromhex("36da56776f515a43acac44a248fff34d")
USER = "S-1-5-21-1004336348-1177238915-682003330-1104"
_ROW = b"\xfe\x00\x01\x04\x00\x01"


def counted(text: str) -> bytes:
    """A text as records hold it."""
    return struct.pack("<I", len(text) + 1) + text.encode("utf-16-le") + b"\0\0"


def file(url: str, path: str, *, size: int = 4096) -> bytes:
    """The record of a file, without the mark before it."""
    return (
        counted(path)
        + counted(url)
        + counted(path + ".tmp")
        + struct.pack("<qq", size, size)
        + b"\0"
        + counted("C:\\")
        + counted("\\\\?\\Volume{1}\\")
    )


def job(
    name: str,
    *,
    number: uuid.UUID,
    files: list[uuid.UUID] | list[bytes],
    created: datetime,
    modified: datetime | None = None,
    program: str = "",
    arguments: str = "",
    kind: int = 0,
    state: int = 6,
    errors: int = 0,
    owner: str = USER,
    mark: bytes = JOB_10,
) -> bytes:
    """The record of a job; ``files`` are ids, or for older versions the files' records themselves."""
    head = struct.pack("<IIII", kind, 2, state, 0) + number.bytes_le
    texts = b"".join(map(counted, (name, "", program, arguments, owner)))
    listed = b"".join(one.bytes_le if isinstance(one, uuid.UUID) else one for one in files)
    times = struct.pack("<QQ", filetime(created), filetime(modified or created))
    facts = struct.pack("<I", errors) + bytes(21 * errors) + struct.pack("<III", 0, 600, 86400) + times + bytes(60)
    body = head + texts + struct.pack("<I", 3) + bytes(300)
    return mark + body + TRANSFER + struct.pack("<I", len(files)) + listed + TRANSFER + facts + mark


def queue_10(jobs: list[bytes], files: list[tuple[uuid.UUID, bytes]]) -> bytes:
    """Records as they lie in the pages of qmgr.db, a row's id before the record of a file."""
    rows = b"".join(b"\x01\x7f\x15\0" + number.bytes_le + _ROW + FILE_10 + one + FILE_10 for number, one in files)
    head = struct.pack("<II", 0x1234, 0x89ABCDEF)
    return head.ljust(16384, b"\0") + rows.ljust(16384, b"\0") + b"".join(one + bytes(64) for one in jobs)


def queue_7(jobs: list[bytes]) -> bytes:
    """qmgr0.dat: a header, the number of jobs, the jobs."""
    head = bytes.fromhex("13f72bc84099124a9f1a3aaebd894eea") + bytes.fromhex("47445f00a9bdba449851c47bb6c07ace")
    return bytes(16) + head + struct.pack("<I", len(jobs)) + b"".join(jobs) + head[16:] + head[:16]
