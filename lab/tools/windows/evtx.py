"""An event log (EVTX 3.1): chunks of records whose binary XML is written out element by element, without templates.

Layout after the published descriptions of the format ([MS-EVEN6] for the binary XML).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lab.tools.windows.regf import filetime

CHUNK = 65536
_HEADER = 512


@dataclass(frozen=True)
class Event:
    """One event: identity, channel, time and named data."""

    event_id: int
    channel: str
    provider: str
    time: datetime
    data: Mapping[str, str]
    computer: str = "EC2AMAZ-LAB01"


def log(events: Sequence[Event], *, broken: bool = False) -> bytes:
    """The file; ``broken`` leaves out what the second half of the last chunk's records says, as damage does. ValueError for an event larger than a chunk."""
    chunks: list[tuple[int, bytearray]] = [(1, bytearray())]
    for number, event in enumerate(events, start=1):
        record = _record(event, number=number, place=_HEADER + len(chunks[-1][1]))
        if _HEADER + len(chunks[-1][1]) + len(record) > CHUNK:
            record = _record(event, number=number, place=_HEADER)
            chunks.append((number, bytearray()))
        if _HEADER + len(record) > CHUNK:
            raise ValueError(f"event {event.event_id} does not fit into a chunk of {CHUNK} bytes")
        chunks[-1][1].extend(record)
    if broken:
        records = chunks[-1][1]
        records[len(records) // 2 :] = b"\xff" * (len(records) - len(records) // 2)
    lasts = [*(first - 1 for first, _ in chunks[1:]), len(events)]
    body = b"".join(_chunk(first, last, bytes(records)) for (first, records), last in zip(chunks, lasts, strict=True))
    head = struct.pack("<8sQQQIHHHH", b"ElfFile\0", 0, len(chunks) - 1, len(events) + 1, 128, 1, 3, 4096, len(chunks))
    head = head.ljust(120, b"\0")
    head += struct.pack("<II", 0, zlib.crc32(head))
    return head.ljust(4096, b"\0") + body


def _chunk(first: int, last: int, records: bytes) -> bytes:
    """A chunk of 64 KiB with the records of these numbers."""
    end = _HEADER + len(records)
    chunk = struct.pack("<8sQQQQIII", b"ElfChnk\0", first, last, first, last, 128, end, end) + struct.pack(
        "<I", zlib.crc32(records)
    )
    chunk = chunk.ljust(120, b"\0")
    tables = bytes(384)
    chunk += struct.pack("<II", 1, zlib.crc32(chunk + tables)) + tables
    return (chunk + records).ljust(CHUNK, b"\0")


def _record(event: Event, *, number: int, place: int) -> bytes:
    xml = _Xml(place + 24)
    time = f"{event.time:%Y-%m-%dT%H:%M:%S.%f}Z"
    system: list[Element] = [
        ("Provider", {"Name": event.provider}, None),
        ("EventID", {}, str(event.event_id)),
        ("TimeCreated", {"SystemTime": time}, None),
        ("EventRecordID", {}, str(number)),
        ("Channel", {}, event.channel),
        ("Computer", {}, event.computer),
    ]
    data: list[Element] = [("Data", {"Name": name}, value) for name, value in event.data.items()]
    xml.put(b"\x0f\x01\x01\x00")
    xml.element("Event", {}, [("System", {}, system), ("EventData", {}, data)])
    xml.put(b"\0")
    body = bytes(xml.data)
    size = 24 + len(body) + 4
    padding = -size % 8
    size += padding
    return (
        struct.pack("<IIQQ", 0x2A2A, size, number, filetime(event.time))
        + body
        + bytes(padding)
        + struct.pack("<I", size)
    )


Content = str | None | list["Element"]
Element = tuple[str, dict[str, str], Content]


class _Xml:
    """Binary XML; names are written where they are used, with their offset in the chunk."""

    def __init__(self, place: int) -> None:
        self.data = bytearray()
        self._place = place

    def put(self, content: bytes) -> None:
        """Append."""
        self.data += content

    def name(self, text: str) -> None:
        """Offset of a name and, right behind it, the name."""
        self.put(struct.pack("<I", self._place + len(self.data) + 4))
        hashed = 0
        for char in text:
            hashed = (hashed * 65599 + ord(char)) & 0xFFFFFFFF
        self.put(struct.pack("<IHH", 0, hashed & 0xFFFF, len(text)) + text.encode("utf-16-le") + b"\0\0")

    def text(self, value: str) -> None:
        """A string value."""
        units = value.encode("utf-16-le")
        self.put(b"\x05\x01" + struct.pack("<H", len(units) // 2) + units)

    def element(self, name: str, attributes: Mapping[str, str], content: Content) -> None:
        """An element with attributes and a text, elements, or nothing."""
        self.put(b"\x41" if attributes else b"\x01")
        length = len(self.data)
        self.put(bytes(4))
        self.name(name)
        if attributes:
            start = len(self.data)
            self.put(bytes(4))
            for number, (label, value) in enumerate(attributes.items(), start=1):
                self.put(b"\x46" if number < len(attributes) else b"\x06")
                self.name(label)
                self.text(value)
            self.data[start : start + 4] = struct.pack("<I", len(self.data) - start - 4)
        if content is None:
            self.put(b"\x03")
        else:
            self.put(b"\x02")
            if isinstance(content, str):
                self.text(content)
            else:
                for child in content:
                    self.element(*child)
            self.put(b"\x04")
        self.data[length : length + 4] = struct.pack("<I", len(self.data) - length - 4)
