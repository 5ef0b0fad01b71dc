"""Finds the lines of a case in log files of one record a line, in a process of its own (``forensics.confined``). Pure.

Each object comes as two pieces, a header and its bytes; out go the lines as AWS wrote them, and a report of the object. A file is
decompressed piece by piece; only lines in which one of the words of the case stands are looked at.
"""

from __future__ import annotations

import hashlib
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence

from pydantic import Field

from forensics.cloud_evidence.trail_filter import RECORD, REPORT, ObjectHeader, ObjectReport
from forensics.confined import Channel
from forensics.models.outside import Outside

# A gzip bomb has no records of a case.
MOST_PLAIN = 2 * 1024 * 1024 * 1024
_STEP, _BATCH = 1024 * 1024, 256 * 1024
_LONGEST_LINE = 1024 * 1024


class LinesSelected(Outside):
    """The end of the child's work."""

    objects: int = 0
    records: int = Field(default=0, description="lines that went out")


class LineFile(ABC):
    """One file: :meth:`read` unpacks it and gives :meth:`take` each line in which a word stands."""

    def __init__(self, words: Sequence[bytes], channel: Channel) -> None:
        self._words, self._channel = tuple(words), channel
        self._batch: list[str] = []
        self._waiting = self.selected = self.unread = self.foreign = 0
        self._digest, self._size, self._problem = hashlib.sha256(), 0, ""

    def read(self, head: ObjectHeader, body: bytes) -> ObjectReport:
        """Search the file; what is wrong with it is said of it."""
        try:
            self.search(head, body)
        except zlib.error as error:
            self._problem = f"its gzip stream is broken or cut off: {error}"[:300]
        except EOFError:
            self._problem = "its gzip stream is cut off"
        self._problem = self._problem or self.wrong()
        self._flush()
        return ObjectReport(
            name=head.name, plain_sha256="" if self._problem else self._digest.hexdigest(), plain_bytes=self._size,
            selected=self.selected, unread=self.unread, foreign=self.foreign, problem=self._problem,
        )  # fmt: skip

    def search(self, head: ObjectHeader, body: bytes) -> None:
        """Search the lines of a text file."""
        rest = b""
        try:
            for plain in _plain(body) if head.gzip else iter((body,)):
                self._digest.update(plain)
                self._size += len(plain)
                if self._size > MOST_PLAIN:
                    self._problem = f"it has more than {MOST_PLAIN} bytes: the rest was not read"
                    return
                block, _, rest = (rest + plain).rpartition(b"\n")
                rest = rest[:_LONGEST_LINE]
                self.block(block)
        finally:
            self.block(rest)

    def block(self, block: bytes) -> None:
        """Whole lines, one after another."""
        for line in lines_with(block, self._words):
            self.take(line)

    @abstractmethod
    def take(self, line: bytes) -> None:
        """A line in which a word of the case stands."""

    def wrong(self) -> str:
        """What is wrong with a file that could be unpacked; empty when nothing is."""
        return ""

    def keep(self, *lines: str) -> None:
        """Lines that go out; the last of them is a record."""
        self._batch += lines
        self.selected += 1
        self._waiting += len(lines[-1])
        if self._waiting > _BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            self._channel.send(RECORD + "\n".join(self._batch).encode())
        self._batch, self._waiting = [], 0


def select_lines(channel: Channel, make: Callable[[], LineFile]) -> LinesSelected:
    """The child's work; ``make`` gives a reader for each file."""
    objects = records = 0
    pieces = channel.chunks()
    for head in pieces:
        report = make().read(ObjectHeader.model_validate_json(head), next(pieces, b""))
        channel.send(REPORT + report.model_dump_json().encode())
        objects, records = objects + 1, records + report.selected
    channel.passed()
    return LinesSelected(objects=objects, records=records)


def lines_with(block: bytes, words: Sequence[bytes]) -> Iterator[bytes]:
    """The lines in which one of the words stands, in their order: most blocks of a busy network have none, and are not taken apart."""
    found: set[tuple[int, int]] = set()
    for word in words:
        place = block.find(word)
        while place >= 0:
            begin, end = block.rfind(b"\n", 0, place) + 1, block.find(b"\n", place)
            end = len(block) if end < 0 else end
            found.add((begin, end))
            place = block.find(word, end)
    for begin, end in sorted(found):
        yield block[begin:end]


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
