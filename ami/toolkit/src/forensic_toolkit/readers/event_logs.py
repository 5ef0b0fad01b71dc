"""Windows event logs (.evtx), read by the ``evtx`` library (Rust): the newest chunks first, so that a large log starves no other.

A log is a ring of chunks of 64 KiB, each complete in itself (MS-EVEN6; libevtx, Windows XML Event Log (EVTX) format). A damaged
chunk costs its own records only. All readers share one rule: records are dictionaries of the event's own field names, with
``Channel EventID Provider_Name Computer ts source`` beside them.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.results import Results

Record = dict[str, Any]
SIGNATURE, CHUNK_SIGNATURE = b"ElfFile\0", b"ElfChnk\0"
CHUNK, HEADER = 65_536, 4_096
BATCH = 32  # chunks that are parsed together: 2 MiB
MAX_DEPTH = 4


@dataclass(slots=True)
class EventLog:
    """One log file: its chunks from the newest to the oldest, the records that they announce, and what was damaged."""

    entry: Entry
    chunks: list[int] = field(default_factory=list)
    announced: int = 0
    read: int = 0
    problems: list[str] = field(default_factory=list)


def installed(results: Results) -> bool:
    """Whether the library is there; a gap says so when it is not."""
    try:
        import evtx  # noqa: F401
    except ImportError:
        results.gap("event logs", "the library evtx is not installed in the toolkit's environment")
        return False
    return True


def opened(entry: Entry) -> EventLog:
    """A log with its chunks in order; a file that is no event log has a problem and no chunks."""
    log = EventLog(entry)
    if entry.size and entry.read(limit=8) != SIGNATURE:
        log.problems.append("not an event log: its signature is missing")
    found: list[tuple[int, int]] = []
    for offset in range(HEADER, entry.size, CHUNK):
        head = entry.read(limit=40, offset=offset)
        if head[:8] != CHUNK_SIGNATURE:
            if any(head):
                log.problems.append(f"the chunk at byte {offset} is damaged: its signature is missing")
            continue
        first, last = struct.unpack_from("<QQ", head, 24)
        log.announced += max(0, min(last - first + 1, CHUNK // 24))
        if last >= first:
            found.append((last, offset))
    log.chunks = [offset for _, offset in sorted(found, reverse=True)]
    return log


def batches(log: EventLog) -> Iterator[list[Record]]:
    """The records of a log in portions, the newest portion first; in each the newest record first."""
    for start in range(0, len(log.chunks), BATCH):
        offsets = log.chunks[start : start + BATCH]
        records = _parsed(log, [log.entry.read(limit=CHUNK, offset=offset) for offset in reversed(offsets)])
        log.read += len(records)
        yield records[::-1]


def _parsed(log: EventLog, chunks: list[bytes]) -> list[Record]:
    from evtx import PyEvtxParser

    content = _header(len(chunks)) + b"".join(chunk.ljust(CHUNK, b"\0") for chunk in chunks)
    found: list[Record] = []
    try:
        for row in PyEvtxParser(io.BytesIO(content), number_of_threads=1).records_json():
            if isinstance(row, dict):
                found.append(record_of(row, source=log.entry.path))
    except (RuntimeError, OSError, ValueError) as error:
        if len(chunks) == 1:
            log.problems.append(f"a chunk cannot be parsed beyond record {len(found)}: {error}"[:300])
            return found
        # One damaged chunk must not cost its neighbours.
        return [record for chunk in chunks for record in _parsed(log, [chunk])]
    return found


def _header(chunks: int) -> bytes:
    """The header of a log of so many chunks, with its checksum."""
    head = struct.pack("<8sQQQIHHHH76x", SIGNATURE, 0, max(0, chunks - 1), 1, 128, 1, 3, HEADER, min(chunks, 0xFFFF))
    return (head + struct.pack("<II", 0, zlib.crc32(head))).ljust(HEADER, b"\0")


def record_of(row: dict[str, Any], *, source: str) -> Record:
    """One record of the library as a flat dictionary."""
    event = json.loads(row["data"]).get("Event") or {}
    system = event.get("System") or {}
    record: Record = {}
    for part in ("EventData", "UserData", "ProcessingErrorData", "DebugData"):
        _flatten(event.get(part), into=record, depth=0)
    _attributes(event.get("UserData"), into=record, depth=0)
    if system.get("Channel") == "Windows PowerShell":
        _settings(record)
    provider = (system.get("Provider") or {}).get("#attributes") or {}
    created = ((system.get("TimeCreated") or {}).get("#attributes") or {}).get("SystemTime")
    number = _plain(system.get("EventID"))
    record |= {
        "ts": created or str(row.get("timestamp", "")).replace(" UTC", ""),
        "source": source,
        "Channel": str(system.get("Channel") or ""),
        "EventID": int(number) if str(number).isdigit() else 0,
        "Provider_Name": provider.get("Name"),
        "Computer": system.get("Computer"),
        "Level": system.get("Level"),
    }
    security = ((system.get("Security") or {}).get("#attributes") or {}).get("UserID")
    return record | ({"UserID": security} if security else {})


def _flatten(value: Any, *, into: Record, depth: int, name: str = "") -> None:
    if isinstance(value, dict) and depth < MAX_DEPTH:
        if "#text" in value:
            into[name] = _plain(value)
        for key, item in value.items():
            if key not in ("#attributes", "#text"):
                _flatten(item, into=into, depth=depth + 1, name=key)
    elif name and value not in (None, ""):
        into[name] = _plain(value)


def _attributes(value: Any, *, into: Record, depth: int) -> None:
    """What user data says in attributes, as CAPI2 does; never in place of an element's own text."""
    if isinstance(value, list):
        for item in value:
            _attributes(item, into=into, depth=depth)
    elif isinstance(value, dict) and depth < MAX_DEPTH:
        for key, item in (value.get("#attributes") or {}).items():
            if not key.startswith("xmlns") and item not in (None, ""):
                into.setdefault(key, _plain(item))
        for key, item in value.items():
            if not key.startswith("#"):
                _attributes(item, into=into, depth=depth + 1)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        value = value.get("#text")
    if isinstance(value, list):
        return "\n".join(str(_plain(item)) for item in value)
    return (
        value if isinstance(value, int | float) and not isinstance(value, bool) else "" if value is None else str(value)
    )


def _settings(record: Record) -> None:
    """The settings ``name=value`` that the classic PowerShell log puts into its unnamed data."""
    for line in str(record.get("Data") or "").splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and name.isidentifier() and value and len(name) < 40:
            record.setdefault(name, value)
