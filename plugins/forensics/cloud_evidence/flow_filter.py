"""Finds the target's flows in flow log files, in a process of its own (``forensics.confined``). Pure.

Out go the lines as AWS wrote them, each file's header before them. Files are decompressed piece by piece and searched line by line; one
in which neither an interface nor an address of the target stands gives nothing but its report.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator

from pydantic import Field

from forensics.cloud_evidence.flow_lines import flow, header
from forensics.cloud_evidence.trail_filter import RECORD, REPORT, ObjectHeader, ObjectReport
from forensics.confined import Channel
from forensics.models.base import Utc
from forensics.models.outside import Outside

FUNCTION = "forensics.cloud_evidence.flow_filter:select"
# AWS closes a file at 75 MB; a bomb has no flows.
MOST_PLAIN = 2 * 1024 * 1024 * 1024
_STEP, _BATCH = 1024 * 1024, 256 * 1024
_LONGEST_LINE = 16 * 1024


class FlowSelectOrder(Outside):
    """What the child looks for: lines of these interfaces, and where a format names none, lines with these addresses."""

    interfaces: tuple[str, ...]
    addresses: tuple[str, ...]
    begin: Utc
    end: Utc


class FlowsSelected(Outside):
    """The end of the child's work."""

    objects: int = 0
    records: int = Field(default=0, description="lines that went out")


def select(order: bytes, channel: Channel) -> FlowsSelected:
    """The child's work."""
    told = FlowSelectOrder.model_validate_json(order)
    objects = records = 0
    pieces = channel.chunks()
    for head in pieces:
        name = ObjectHeader.model_validate_json(head).name
        report = _File(told, channel).read(name, next(pieces, b""))
        channel.send(REPORT + report.model_dump_json().encode())
        objects, records = objects + 1, records + report.selected
    channel.passed()
    return FlowsSelected(objects=objects, records=records)


class _File:
    """One file."""

    def __init__(self, order: FlowSelectOrder, channel: Channel) -> None:
        self._order, self._channel = order, channel
        words = "|".join(re.escape(w) for w in (*order.interfaces, *order.addresses))
        self._wanted = re.compile(rf"(?:^|\s)(?:{words})(?:\s|$)" if words else r"(?!)")
        self._anywhere = re.compile(words.encode() if words else rb"(?!)")
        self._fields: tuple[str, ...] | None = None
        self._batch: list[str] = []
        self._waiting = self.selected = self.unread = 0

    def read(self, name: str, body: bytes) -> ObjectReport:
        """Search the file's lines."""
        digest, size, problem = hashlib.sha256(), 0, ""
        rest = b""
        try:
            for plain in _plain(body):
                digest.update(plain)
                size += len(plain)
                if size > MOST_PLAIN:
                    problem = f"it has more than {MOST_PLAIN} bytes: the rest was not read"
                    break
                block, _, rest = (rest + plain).rpartition(b"\n")
                rest = rest[:_LONGEST_LINE]
                # most blocks of a busy network have nothing of one target: they are not taken apart
                if self._fields is None or self._anywhere.search(block):
                    self._look(block.split(b"\n"))
            self._look([rest])
        except zlib.error as error:
            problem = f"its gzip stream is broken or cut off: {error}"[:300]
        except EOFError:
            self._look([rest])
            problem = "its gzip stream is cut off"
        if self._fields is None and not problem:
            problem = "it does not begin with the names of its fields"
        self._flush()
        return ObjectReport(
            name=name, plain_sha256="" if problem else digest.hexdigest(), plain_bytes=size, selected=self.selected,
            unread=self.unread, problem=problem,
        )  # fmt: skip

    def _look(self, lines: list[bytes]) -> None:
        for raw in lines:
            line = raw.decode("ascii", "replace").strip()
            if not line:
                continue
            if self._fields is None:
                self._fields = header(line)
                if self._fields is None:
                    return
                self._header = line
            elif self._wanted.search(line):
                self._take(self._fields, line)

    def _take(self, fields: tuple[str, ...], line: str) -> None:
        values = line.split()
        if len(values) != len(fields):
            self.unread += 1
            return
        if "interface-id" in fields and values[fields.index("interface-id")] not in self._order.interfaces:
            return
        found = flow(fields, line)
        if found is None or found.end < self._order.begin or found.begin > self._order.end:
            return
        if not self.selected:
            self._batch.append(self._header)
        self._batch.append(line)
        self.selected += 1
        self._waiting += len(line)
        if self._waiting > _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            self._channel.send(RECORD + "\n".join(self._batch).encode())
        self._batch, self._waiting = [], 0


def _plain(body: bytes) -> Iterator[bytes]:
    """The plain bytes of a gzip file; raises ``zlib.error`` and, where it is cut off, ``EOFError`` after what there is."""
    rest = body
    if not body:
        raise EOFError
    while rest:
        member = zlib.decompressobj(wbits=31)
        data = rest
        while data and not member.eof:
            yield member.decompress(data, _STEP)
            data = member.unconsumed_tail
        if not member.eof:
            raise EOFError
        rest = member.unused_data
