"""Finds the target's flows in flow log files, in a process of its own (``forensics.confined``). Pure.

Out go the lines as AWS wrote them, each file's header before them; rows of Parquet go out as such lines with the same fields.
"""

from __future__ import annotations

import re

from forensics.cloud_evidence.flow_lines import flow, header
from forensics.cloud_evidence.flow_parquet import MAGIC, ParquetError, rows
from forensics.cloud_evidence.line_filter import LineFile, LinesSelected, select_lines
from forensics.cloud_evidence.trail_filter import ObjectHeader
from forensics.confined import Channel
from forensics.models.base import Utc
from forensics.models.outside import Outside

FUNCTION = "forensics.cloud_evidence.flow_filter:select"


class FlowSelectOrder(Outside):
    """What the child looks for: lines of these interfaces, and where a format names none, lines with these addresses."""

    interfaces: tuple[str, ...]
    addresses: tuple[str, ...]
    begin: Utc
    end: Utc


def select(order: bytes, channel: Channel) -> LinesSelected:
    """The child's work."""
    told = FlowSelectOrder.model_validate_json(order)
    return select_lines(channel, lambda: _FlowFile(told, channel))


class _FlowFile(LineFile):
    """One file, text or Parquet."""

    def __init__(self, order: FlowSelectOrder, channel: Channel) -> None:
        words = (*order.interfaces, *order.addresses)
        super().__init__([w.encode() for w in words], channel)
        self._order = order
        either = "|".join(re.escape(w) for w in words)
        self._wanted = re.compile(rf"(?:^|\s)(?:{either})(?:\s|$)" if words else r"(?!)")
        self._fields: tuple[str, ...] | None = None
        self._header, self._began = "", False

    def search(self, head: ObjectHeader, body: bytes) -> None:
        """A Parquet file is known by its first bytes, whatever its name says."""
        if not body.startswith(MAGIC):
            super().search(head, body)
            return
        self._digest.update(body)
        self._size = len(body)
        try:
            for fields, line in rows(body, self._order.interfaces, self._order.addresses):
                self._fields, self._header = fields, " ".join(fields)
                self._take(fields, line)
        except ParquetError as error:
            self._problem = str(error)[:300]

    def block(self, block: bytes) -> None:
        """The first line names the fields of the others."""
        if not self._began and block:
            self._began = True
            first, _, block = block.partition(b"\n")
            self._header = first.decode("ascii", "replace").strip()
            self._fields = header(self._header)
        if self._fields is not None:
            super().block(block)

    def wrong(self) -> str:
        """Without a header nothing of it can be read."""
        return "" if self._fields is not None else "it does not begin with the names of its fields"

    def take(self, line: bytes) -> None:
        """A line of an interface or with an address, as a word of its own."""
        text = line.decode("ascii", "replace").strip()
        if self._fields is not None and self._wanted.search(text):
            self._take(self._fields, text)

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
        self.keep(*(() if self.selected else (self._header,)), line)
