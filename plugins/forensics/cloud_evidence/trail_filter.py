"""Finds a case's records in CloudTrail's log files, in a process of its own (``forensics.confined``). Pure.

Each object comes as two pieces, a header and its bytes; out go the records as CloudTrail wrote them, and a report of the object.
An object in which nothing of the case stands is only decompressed and searched, not parsed: that is what makes a busy account's day
a matter of minutes. What is cut, too large, broken or of another account is said of its object, and the next one is read.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from collections.abc import Iterator
from datetime import datetime

from pydantic import Field, ValidationError

from forensics.cloud_evidence.followed import Followed, added
from forensics.cloud_evidence.trail_record import TrailRecord
from forensics.confined import Channel
from forensics.models.base import AccountId, Utc
from forensics.models.outside import Outside

FUNCTION = "forensics.cloud_evidence.trail_filter:select"
# CloudTrail's files have some MiB; a bomb has none of an account's calls.
MOST_PLAIN = 256 * 1024 * 1024
_STEP = 4 * 1024 * 1024
RECORD, REPORT = b"R", b"O"
_RECORDS = re.compile(rb'^\s*\{\s*"Records"\s*:\s*\[')
_BETWEEN = re.compile(rb"[\s,]*")


class SelectOrder(Outside):
    """What the child looks for: ``followed`` now, without what ``known`` has found in an earlier pass."""

    account_id: AccountId
    begin: Utc
    end: Utc
    followed: Followed
    known: Followed | None = None


class ObjectHeader(Outside):
    """Announces an object: its name and whether it is compressed."""

    name: str = Field(max_length=2000)
    gzip: bool = True


class ObjectReport(Outside):
    """What became of an object. ``plain_sha256`` is over the bytes as CloudTrail wrote them, which digest files have too."""

    name: str = Field(max_length=2000)
    plain_sha256: str = ""
    plain_bytes: int = 0
    selected: int = 0
    foreign: int = Field(default=0, description="records of another account, left out")
    unread: int = Field(default=0, description="records that are not of CloudTrail's form")
    problem: str = Field(default="", max_length=300, description="why it was read in part or not at all")


class Selected(Outside):
    """The end of a pass: what the records have added to what is followed."""

    followed: Followed
    objects: int = 0
    records: int = 0


def select(order: bytes, channel: Channel) -> Selected:
    """The child's work."""
    told = SelectOrder.model_validate_json(order)
    pass_ = _Pass(told)
    objects = 0
    pieces = channel.chunks()
    for head in pieces:
        header = ObjectHeader.model_validate_json(head)
        body = next(pieces, b"")
        objects += 1
        report = pass_.read(header, body, channel)
        channel.send(REPORT + report.model_dump_json().encode())
    channel.passed()
    return Selected(followed=pass_.followed, objects=objects, records=pass_.records)


class _Pass:
    """One pass over all objects; a record that is delivered twice goes out once."""

    def __init__(self, order: SelectOrder) -> None:
        self._order = order
        self.followed = order.followed
        self._pattern = order.followed.pattern(blinding=order.known is None)
        self._words = order.followed.words(blinding=order.known is None)
        self._known = order.known.pattern() if order.known else None
        self._seen: set[str] = set()
        self.records = 0

    def read(self, header: ObjectHeader, body: bytes, channel: Channel) -> ObjectReport:
        """One object."""
        try:
            plain, problem = _unpacked(body) if header.gzip else (body, "")
        except zlib.error as error:
            return ObjectReport(name=header.name, problem=f"it is no gzip file: {error}"[:300])
        facts = {
            "name": header.name, "plain_bytes": len(plain),
            "plain_sha256": "" if problem else hashlib.sha256(plain).hexdigest(),
        }  # fmt: skip
        if not any(word in plain for word in self._words) or self._pattern.search(plain) is None:
            return ObjectReport(**facts, problem=problem)
        return self._searched(facts, plain, problem, channel)

    def _searched(self, facts: dict[str, object], plain: bytes, problem: str, channel: Channel) -> ObjectReport:
        selected = foreign = unread = 0
        records = _Records(plain)
        for raw in records:
            if self._pattern.search(raw) is None or (self._known and self._known.search(raw)):
                continue
            record = _record(raw)
            if record is None:
                unread += 1
            elif record.recipient and record.recipient != self._order.account_id:
                foreign += 1
            elif record.event_id not in self._seen and _in(record.time, self._order):
                self._seen.add(record.event_id)
                self.followed = added(record, self.followed)
                channel.send(RECORD + raw)
                selected += 1
        self.records += selected
        why = problem or records.problem
        return ObjectReport.model_validate(
            {**facts, "selected": selected, "foreign": foreign, "unread": unread, "problem": why}
        )


def _in(moment: datetime, order: SelectOrder) -> bool:
    return order.begin <= moment <= order.end


def _record(raw: bytes) -> TrailRecord | None:
    try:
        return TrailRecord.model_validate_json(raw)
    except ValidationError:
        return None


class _Records:
    """The records of a log file, each as the bytes that stand there; ``problem`` says why there are no more."""

    def __init__(self, plain: bytes) -> None:
        self._plain = plain
        self.problem = ""

    def __iter__(self) -> Iterator[bytes]:
        begin = _RECORDS.match(self._plain)
        if begin is None:
            self.problem = "it is no log file of CloudTrail: it does not begin with Records"
            return
        try:
            text = self._plain[begin.end() :].decode()
        except UnicodeDecodeError as error:
            self.problem = f"it is not UTF-8: {error.reason} at {error.start}"
            return
        yield from self._of(text)

    def _of(self, text: str) -> Iterator[bytes]:
        decoder, place = json.JSONDecoder(), 0
        blank = re.compile(_BETWEEN.pattern.decode())
        while True:
            place = blank.match(text, place).end()  # type: ignore[union-attr]  # it matches the empty text too
            if place >= len(text) or text[place] == "]":
                if place >= len(text):
                    self.problem = "it ends within its list of records"
                return
            try:
                value, end = decoder.raw_decode(text, place)
            except (ValueError, RecursionError) as error:
                self.problem = f"a record cannot be read: {type(error).__name__} at character {place}"
                return
            raw = text[place:end]
            place = end
            if isinstance(value, dict):
                # one line each; a line end can only be blank between JSON's tokens
                yield (raw if "\n" not in raw and "\r" not in raw else json.dumps(value)).encode()


def _unpacked(body: bytes) -> tuple[bytes, str]:
    """The plain bytes of a gzip file of one or more members, and why they are not all. Raises ``zlib.error``."""
    plain, rest = bytearray(), body
    while rest:
        member = zlib.decompressobj(wbits=31)
        data = rest
        while data and not member.eof:
            plain += member.decompress(data, _STEP)
            data = member.unconsumed_tail
            if len(plain) > MOST_PLAIN:
                return bytes(plain[:MOST_PLAIN]), f"it has more than {MOST_PLAIN} bytes: the rest was not read"
        if not member.eof:
            return bytes(plain), "its gzip stream is cut off"
        rest = member.unused_data
    return bytes(plain), "" if body else "it is empty"
