"""What a reader of stored records gives back, and the lines of a stored file. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator

from pydantic import Field

from forensics.models.outside import Outside
from forensics.models.results import ToolFinding, ToolGap, ToolTimelineEntry

_LONGEST_LINE = 2 * 1024 * 1024


class LogReading(Outside):
    """What the records hold."""

    findings: tuple[ToolFinding, ...] = ()
    timeline: tuple[ToolTimelineEntry, ...] = ()
    counts: dict[str, int] = Field(default_factory=dict)
    gaps: tuple[ToolGap, ...] = ()
    notes: tuple[ToolGap, ...] = ()


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a gzip file that this package has written."""
    member, rest = zlib.decompressobj(wbits=31), b""
    for chunk in chunks:
        data = chunk
        while data:
            rest += member.decompress(data, 1 << 20)
            data = member.unconsumed_tail
            *lines, rest = rest.split(b"\n")
            yield from (line for line in lines if line)
            if len(rest) > _LONGEST_LINE:
                rest = b""
    rest += member.flush()
    yield from (line for line in rest.split(b"\n") if line)
