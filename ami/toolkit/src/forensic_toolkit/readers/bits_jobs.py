"""Jobs of the Background Intelligent Transfer Service (BITS), by their records in ``qmgr.db`` and the older ``qmgr0.dat``.

Records are found by the marks that they begin with, not through the database (ESE) around them: that of a running system is never closed
cleanly, and versions and finished jobs that no table lists any more are evidence too. A record that spans pages of the database is read up
to the page's end. Forms: bits_parser (ANSSI, 2017) and BitsParser (FireEye, 2021) for marks and fields, BG_JOB_TYPE, BG_JOB_STATE and
SetNotifyCmdLine of the Win32 documentation; times are FILETIMEs.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice

from forensic_toolkit.times import from_filetime

# What a job's record begins with, by version: Windows XP to 8.1, then 10 and 11 and the servers of their time.
_JOBS = tuple(
    map(
        bytes.fromhex,
        (
            "93362035a00c104a84f3b17e7b499cd7", "101370c83653b34183e581557f361b87", "8c93ea64030f6840b46ff97fe51d4dcd",
            "b346ed3d3b10f944bc2fe8378bd31986", "74e70c81d2bbcc489e47862e8d58f3c6", "a15609e143afc94292e66f9856eba7f6",
            "9f95d44c6470f24b84d7476a7e62699f", "f11926a93203bf4c9427898818958831", "c133bcddfb5aaf4db8a12268b39d01ad",
            "d057568f2c013e4ead2cf4a5d7656faf", "5067419457031d46a4cc5dd9990706e4",
        ),
    )
)  # fmt: skip
_FILE = bytes.fromhex("e4cf9e5146d99743b73e268513051ab2")
TRANSFER = bytes.fromhex("36da56776f515a43acac44a248fff34d")
_ANY_JOB = re.compile(b"|".join(map(re.escape, _JOBS)))
# A row of the table Files that holds the record itself: its id, and the heads of two columns.
_ROW = b"\xfe\x00\x01\x04\x00\x01"
# The length of a path, and what a path begins with: a drive or a server.
_OLD_FILE = re.compile(rb".{2}\0\0(?=[A-Za-z]\0:\0\\\0|\\\0\\\0)", re.DOTALL)
# An address or a share; what follows a file's drive is its volume, as "\\?\Volume{…}".
_URL = re.compile(r"^([a-z][a-z0-9+.-]*://|\\\\(?![?.]\\))", re.IGNORECASE)
TYPES = ("download", "upload", "upload with a reply")
STATES = (
    "queued", "connecting", "transferring", "suspended", "error", "transient error", "transferred", "acknowledged", "cancelled",
)  # fmt: skip
MOST_TEXT, MOST_FILES, MOST_JOBS = 4096, 2000, 20_000
_NEAR = 8192  # a record's parts are not further apart, but for lists of files
_EARLIEST, _LATEST = datetime(2001, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file of a job: where it is from and where it is put."""

    url: str
    path: str
    temporary: str = ""
    bytes: int = -1  # -1: not known yet


@dataclass(frozen=True, slots=True)
class Job:
    """The newest version of one job; ``command`` is what runs when it has ended or failed."""

    number: str
    kind: str
    state: str
    name: str
    description: str
    program: str
    arguments: str
    owner: str
    created: datetime | None = None
    modified: datetime | None = None
    files: tuple[Transfer, ...] = ()
    references: tuple[str, ...] = field(default=(), repr=False)

    @property
    def command(self) -> str:
        """Program and arguments; the arguments often begin with the program again."""
        if self.arguments.lower().startswith((self.program.lower(), f'"{self.program.lower()}"')):
            return self.arguments
        return f"{self.program} {self.arguments}".strip()


@dataclass(frozen=True, slots=True)
class Queue:
    """What a file holds: jobs, and files that no job was found for. ``unknown``: there are transfers, but no job could be read."""

    jobs: tuple[Job, ...]
    files: tuple[Transfer, ...]
    unknown: bool


def read(raw: bytes) -> Queue:
    """All records of a queue's file."""
    files, known = _files(raw)
    jobs: dict[str, Job] = {}
    for match in islice(_ANY_JOB.finditer(raw), 10 * MOST_JOBS):
        job = _job(raw, match.start())
        if job is None or (job.number not in jobs and len(jobs) >= MOST_JOBS):
            continue
        if not job.files:
            job = replace(job, files=tuple(known[number] for number in job.references if number in known))
        before = jobs.get(job.number)
        if before is None or _age(job) >= _age(before):
            jobs[job.number] = job if job.files or before is None else replace(job, files=before.files)
        elif job.files and not before.files:
            jobs[job.number] = replace(before, files=job.files)
    used = {(one.url, one.path) for job in jobs.values() for one in job.files}
    free = tuple(one for one in files if (one.url, one.path) not in used)
    return Queue(tuple(jobs.values()), free[:MOST_JOBS], not jobs and TRANSFER in raw)


def _age(job: Job) -> datetime:
    return job.modified or job.created or _EARLIEST


def _job(raw: bytes, at: int) -> Job | None:
    """The record behind a mark; None where there is none, as behind a mark that ends one."""
    at += 16
    if at + 32 > len(raw):
        return None
    kind, priority, state = struct.unpack_from("<III", raw, at)
    if kind >= len(TYPES) or priority > 3 or state >= len(STATES):
        return None
    number = str(uuid.UUID(bytes_le=raw[at + 16 : at + 32]))
    texts, end = [], at + 32
    for _ in range(5):
        text, end = _counted(raw, end)
        if text is None:
            return None
        texts.append(text)
    name, description, program, arguments, owner = texts
    if not owner.startswith("S-1-"):
        return None
    behind, references, files = _transfers(raw, end)
    created, modified = _times(raw, behind) if behind else (None, None)
    return Job(
        number, TYPES[kind], STATES[state], name, description, program, arguments, owner, created, modified, files, references
    )  # fmt: skip


def _counted(raw: bytes, at: int) -> tuple[str | None, int]:
    """A text with its length before it, and where it ends; None when it is no text."""
    count = int.from_bytes(raw[at : at + 4], "little")
    end = at + 4 + 2 * count
    if count > MOST_TEXT or end > len(raw):
        return None, at
    text = raw[at + 4 : end].decode("utf-16-le", "replace")
    if count and (not text.endswith("\0") or "\0" in text[:-1]):
        return None, at
    return text[:-1], end


def _transfers(raw: bytes, at: int) -> tuple[int, tuple[str, ...], tuple[Transfer, ...]]:
    """(where the list of files ends, ids of files, files themselves as older versions keep them)."""
    begin = raw.find(TRANSFER, at, at + _NEAR)
    if begin < 0:
        return 0, (), ()
    count = int.from_bytes(raw[begin + 16 : begin + 20], "little")
    first = begin + 20
    if count <= MOST_FILES and raw[first + 16 * count : first + 16 * count + 16] == TRANSFER:
        ids = (raw[first + 16 * index : first + 16 * index + 16] for index in range(count))
        return first + 16 * count + 16, tuple(str(uuid.UUID(bytes_le=one)) for one in ids), ()
    end = raw.find(TRANSFER, first, first + min(count, MOST_FILES) * _NEAR)
    if end < 0:
        return 0, (), ()
    return end + 16, (), tuple(_old_files(raw, first, end))


def _old_files(raw: bytes, at: int, end: int) -> Iterator[Transfer]:
    while at < end and (match := _OLD_FILE.search(raw, at, end)):
        found, behind = _file(raw, match.start())
        if found is not None:
            yield found
        at = max(behind, match.start() + 1)


def _file(raw: bytes, at: int) -> tuple[Transfer | None, int]:
    path, end = _counted(raw, at)
    url, end = _counted(raw, end) if path else (None, at)
    if not path or not url or not _URL.match(url):
        return None, at
    temporary, end = _counted(raw, end)
    size = int.from_bytes(raw[end + 8 : end + 16], "little", signed=True)
    return Transfer(url, path, temporary or "", size if 0 <= size < 1 << 50 else -1), end


def _files(raw: bytes) -> tuple[list[Transfer], dict[str, Transfer]]:
    """Every file that has a record of its own, and those of them whose id stands beside it."""
    found: dict[tuple[str, str], Transfer] = {}
    known: dict[str, Transfer] = {}
    at = raw.find(_FILE)
    while at >= 0:
        transfer, _ = _file(raw, at + 16)
        if transfer is not None:
            before = found.get((transfer.url, transfer.path))
            if before is None or transfer.bytes > before.bytes:
                found[(transfer.url, transfer.path)] = transfer
            if at >= 22 and raw[at - 6 : at] == _ROW:
                known[str(uuid.UUID(bytes_le=raw[at - 22 : at - 6]))] = transfer
        at = raw.find(_FILE, at + 16)
    return list(found.values()), known


def _times(raw: bytes, at: int) -> tuple[datetime | None, datetime | None]:
    """When a job was created and changed last: behind its errors (of 21 bytes, in older versions 25) and three numbers."""
    errors = int.from_bytes(raw[at : at + 4], "little")
    for size in (21, 25):
        place = at + 4 + min(errors, 64) * size + 12
        if place + 16 > len(raw):
            continue
        created, modified = map(from_filetime, struct.unpack_from("<QQ", raw, place))
        if created and modified and _EARLIEST < created <= modified < _LATEST:
            return created, modified
    return None, None
