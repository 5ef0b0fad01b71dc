"""Jump lists: what a user opened with which program, how often and when last.

Sources: libyal dtformats, "Jump lists format" (DestList of versions 1 and 3-6, custom destinations); [MS-SHLLINK] for the links in them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.readers import shell_links
from forensic_toolkit.readers.compound_files import CompoundFile
from forensic_toolkit.readers.shell_links import Link
from forensic_toolkit.times import from_filetime

LIST = "DestList"
MOST_ENTRIES = 20_000
_FOOTER = struct.pack("<I", 0xBABFFBAB)
_LARGEST = 256 << 10  # of a link within a list
_EMPTY_CUSTOM = 64  # a custom list that holds nothing but its header and footer is shorter
_HEAD = 32
_HOST, _NUMBER, _OPENED, _PINNED = 72, 88, 100, 108
_COUNT = 116


@dataclass(frozen=True, slots=True)
class Destination:
    """One entry. ``opened`` is when it was opened last (automatic lists alone), ``count`` how often; -1 when that is not kept."""

    path: str
    link: Link | None
    opened: datetime | None = None
    count: int = -1
    pinned: bool = False
    host: str = ""


def automatic(raw: bytes) -> tuple[list[Destination], list[str]]:
    """Entries of an ``.automaticDestinations-ms`` and what was damaged. Raises EvidenceError when it is no such file."""
    file = CompoundFile(raw)
    streams = dict(file.streams())
    listed = streams.pop(LIST, None)
    links = {name.lower(): shell_links.parsed(content) for name, content in streams.items()}
    problems = [f"{file.damaged} of its streams are damaged"] if file.damaged else []
    found: list[Destination] = []
    if listed is None:
        problems.append("it has no list of destinations: the times are missing")
    for number, entry in _entries(listed or b"", problems=problems):
        link = links.pop(f"{number:x}", None)
        found.append(Destination(entry.path, link, entry.opened, entry.count, entry.pinned, entry.host))
    # What the list no longer names was removed from it, or the list is damaged.
    found += [Destination(link.target, link) for link in links.values() if link is not None]
    return found, problems


def _entries(raw: bytes, *, problems: list[str]) -> Iterator[tuple[int, Destination]]:
    if len(raw) < _HEAD:
        return
    version, announced = struct.unpack_from("<II", raw)
    fixed, spare = (114, 0) if version == 1 else (130, 4)
    at, count = _HEAD, 0
    while at + fixed <= len(raw) and count < MOST_ENTRIES:
        length = struct.unpack_from("<H", raw, at + fixed - 2)[0]
        end = at + fixed + 2 * length
        if end > len(raw):
            break
        pinned = struct.unpack_from("<i", raw, at + _PINNED)[0] >= 0
        times = struct.unpack_from("<I", raw, at + _COUNT)[0] if version > 1 else -1
        host = raw[at + _HOST : at + _HOST + 16].split(b"\0", 1)[0].decode("cp1252", "replace")
        opened = from_filetime(struct.unpack_from("<Q", raw, at + _OPENED)[0])
        path = raw[at + fixed : end].decode("utf-16-le", "replace")
        yield (
            struct.unpack_from("<I", raw, at + _NUMBER)[0],
            Destination(path, None, opened, times, pinned, host),
        )
        at, count = end + spare, count + 1
    if count < announced:
        problems.append(f"{count} of {announced} destinations could be read")


def custom(raw: bytes) -> list[Destination]:
    """The links of a ``.customDestinations-ms``. Raises EvidenceError when it is no such file."""
    if len(raw) < 12 or raw[:4] != b"\x02\0\0\0" or (len(raw) > _EMPTY_CUSTOM and _FOOTER not in raw):
        raise EvidenceError("no custom jump list: header or footer is missing")
    found: list[Destination] = []
    at = raw.find(shell_links.HEADER)
    while at >= 0 and len(found) < MOST_ENTRIES:
        link = shell_links.parsed(raw[at : at + _LARGEST])
        if link is not None:
            found.append(Destination(link.target, link))
        # Not from the link's end: that is what the link itself says, and could hide the next one.
        at = raw.find(shell_links.HEADER, at + len(shell_links.HEADER))
    return found
