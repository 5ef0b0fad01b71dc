"""Runs the search for a case's records over log files, pass by pass, and keeps what it finds in a spool of its own.

A pass may find what has to be followed too (a key that AssumeRole gave out). Then the files are read again for that alone, at most
:data:`PASSES` times in all; the reader says where that was not enough.
"""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from forensics.cloud_evidence.followed import Followed
from forensics.cloud_evidence.trail_filter import (
    FUNCTION,
    RECORD,
    ObjectHeader,
    ObjectReport,
    Selected,
    SelectOrder,
)
from forensics.confined import MIB, Confined, Limits

PASSES = 3
_MOST_SPOOLED = 2048 * MIB
# 256 MiB of plain bytes, as text again, and the values of one record.
_LIMITS = Limits(memory=1024 * MIB, cpu_seconds=3600, output=_MOST_SPOOLED, silence=600.0)
_IN_MEMORY = 16 * MIB


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - Spool.close


@dataclass(frozen=True)
class LogObject:
    """One object of log files, as it was read; ``source`` says where it lies, for the list of sources."""

    name: str
    body: bytes
    gzip: bool = True
    source: dict[str, object] = field(default_factory=dict)


@dataclass
class Spool:
    """The records of a case, one a line and compressed, and what was said of each object they come from."""

    followed: Followed
    reports: dict[str, ObjectReport] = field(default_factory=dict)
    sources: dict[str, dict[str, object]] = field(default_factory=dict)
    records: int = 0
    passes: int = 0
    unfinished: bool = False
    _file: IO[bytes] = field(default_factory=_spool)

    def chunks(self, size: int = MIB) -> Iterator[bytes]:
        """The gzip file, from its beginning."""
        self._file.seek(0)
        while piece := self._file.read(size):
            yield piece

    def close(self) -> None:
        """Forget the records."""
        self._file.close()


def search(order: SelectOrder, objects: Callable[[SelectOrder], Iterable[LogObject]]) -> Spool:
    """Look through all objects; ``objects`` gives them anew for each pass, whose order says what is followed for the first time.

    Raises :class:`forensics.errors.ConfinedError` when the files are too much for the process that reads them.
    """
    spool, known = Spool(order.followed), order.known
    with gzip.GzipFile(fileobj=spool._file, mode="wb", mtime=0) as out:
        while True:
            told = order.model_copy(
                update={"followed": spool.followed.without(known) if known else spool.followed, "known": known}
            )
            before = spool.followed
            made = _pass(told, objects(told), spool, out)
            spool.passes += 1
            spool.records += made.records
            found = made.followed
            spool.followed = before.with_more(ids=found.ids, names=found.names)
            if spool.followed == before:
                return spool
            if spool.passes == PASSES:
                spool.unfinished = True
                return spool
            known = before


def _pass(order: SelectOrder, objects: Iterable[LogObject], spool: Spool, out: gzip.GzipFile) -> Selected:
    def pieces() -> Iterator[bytes]:
        for item in objects:
            if item.name not in spool.sources:
                spool.sources[item.name] = {
                    **item.source,
                    "bytes": len(item.body),
                    "sha256": hashlib.sha256(item.body).hexdigest(),
                }
            yield ObjectHeader(name=item.name, gzip=item.gzip).model_dump_json().encode()
            yield item.body

    with Confined(FUNCTION, order, limits=_LIMITS) as child:
        for said in child.passing(pieces()):
            kind, body = said[:1], said[1:]
            if kind == RECORD:
                out.write(body + b"\n")
                continue
            report = ObjectReport.model_validate_json(body)
            known = spool.reports.get(report.name)
            spool.reports[report.name] = (
                report if known is None else known.model_copy(update={"selected": known.selected + report.selected})
            )
        return child.result(Selected)
