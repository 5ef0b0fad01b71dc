"""Collects records of one a line: read from their places, searched in a confined process, stored with the list of their sources."""

from __future__ import annotations

import gzip
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import IO, TypeVar

from pydantic import BaseModel

from forensics.case.recorder import CaseRecorder
from forensics.cloud_evidence.line_filter import LinesSelected
from forensics.cloud_evidence.line_places import BucketPlace, GroupPlace, Place, Places
from forensics.cloud_evidence.log_evidence import enter, run_name, store_records, store_sources
from forensics.cloud_evidence.record_window import RecordWindow
from forensics.cloud_evidence.trail_filter import RECORD, ObjectHeader, ObjectReport
from forensics.cloud_evidence.trail_selection import LogObject
from forensics.confined import MIB, Confined, Limits
from forensics.errors import ConfinedError
from forensics.models.evidence import Digest, LogEvidence, LogOrigin, Outcome
from forensics.printable import count

L = TypeVar("L", bound=LogEvidence)
# Address space, most of it libraries of the reader of Parquet that are mapped and not resident.
_LIMITS = Limits(memory=1536 * MIB, cpu_seconds=3600, output=4096 * MIB, silence=600.0)
_IN_MEMORY = 16 * MIB
# A file that ends the process that reads it is named, and the next one gets a new process; so often in one collection.
_MOST_CRASHES = 5


@dataclass
class LineSpool:
    """The lines of a case, compressed, and what was said of each object they come from."""

    reports: dict[str, ObjectReport] = field(default_factory=dict)
    sources: dict[str, dict[str, object]] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    records: int = 0
    file: IO[bytes] = field(default_factory=lambda: _spool())

    def chunks(self) -> Iterator[bytes]:
        """The gzip file, from its beginning."""
        self.file.seek(0)
        while piece := self.file.read(MIB):
            yield piece

    def close(self) -> None:
        """Forget the lines."""
        self.file.close()


def _spool() -> IO[bytes]:
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - LineSpool.close


def search_lines(function: str, order: BaseModel, objects: Iterable[LogObject], spool: LineSpool) -> None:
    """Search objects in a confined process, and fill the spool.

    Raises :class:`ConfinedError` when the process ends for more objects than :data:`_MOST_CRASHES`.
    """
    rest, crashes, now = iter(objects), 0, ""

    def pieces() -> Iterator[bytes]:
        nonlocal now
        for item in rest:
            now = item.name
            facts = {"bytes": len(item.body), "sha256": hashlib.sha256(item.body).hexdigest()}
            spool.sources[item.name] = {**item.source, **facts}
            yield ObjectHeader(name=item.name, gzip=item.gzip).model_dump_json().encode()
            yield item.body

    with gzip.GzipFile(fileobj=spool.file, mode="wb", mtime=0) as out:
        while True:
            try:
                with Confined(function, order, limits=_LIMITS) as child:
                    for said in child.passing(pieces()):
                        if said[:1] == RECORD:
                            out.write(said[1:] + b"\n")
                        else:
                            report = ObjectReport.model_validate_json(said[1:])
                            spool.reports[report.name] = report
                            spool.records += report.selected
                    child.result(LinesSelected)
                return
            except ConfinedError as error:
                crashes += 1
                if not now or crashes > _MOST_CRASHES:
                    raise
                spool.reports[now] = ObjectReport(name=now, problem=str(error)[:300])


def store_lines(
    recorder: CaseRecorder, spool: LineSpool, places: Places, window: RecordWindow, evidence: L, *, began: datetime,
    name: str, what: str, wanted: tuple[Place, ...], notes: tuple[str, ...] = (),
) -> L:  # fmt: skip
    """Store what was found under lock, with its sources, and enter it: ``FAILED`` where nothing could be read at all."""
    kind, item, run = evidence.kind, evidence.evidence_id, run_name(began)
    stored = store_records(recorder, kind, item, run=run, name=name, chunks=spool.chunks())
    rows = [
        {"name": n, **facts, **spool.reports[n].model_dump(exclude={"name"})}
        for n, facts in spool.sources.items()
        if n in spool.reports
    ]
    listed = store_sources(recorder, kind, item, run=run, sources={"kind": _kind(wanted), "objects": rows})
    gaps = [*spool.gaps, *places.gaps, *_broken(spool, what)]
    if places.budget.cut:
        gaps.append(f"it ended with {places.budget.cut}: later files were not read")
    first = wanted[0]
    origin = LogOrigin(
        source=_kind(wanted), bucket=first.bucket if isinstance(first, BucketPlace) else None,
        log_group=first.group if isinstance(first, GroupPlace) else None, begin=window.begin, end=window.end,
        regions=(recorder.case.region,), objects=len(spool.sources), objects_bytes=sum(int(str(s["bytes"])) for s in spool.sources.values()),
        records=spool.records, sources=listed, notes=tuple(n[:500] for n in notes if n),
    )  # fmt: skip
    outcome = Outcome.PARTIAL if gaps else Outcome.ACQUIRED
    if not places.read and not spool.sources:
        outcome = Outcome.FAILED
    made = evidence.model_copy(
        update={
            "outcome": outcome, "reason": "; ".join(gaps)[:1000] or None, "account_id": recorder.case.account_id,
            "region": recorder.case.region, "uri": stored.uri, "version_id": stored.version_id, "size_bytes": stored.size_bytes,
            "started_at": began, "ended_at": datetime.now(UTC), "origin": origin,
            "lock": {"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
            "digests": (Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane"),),
        }
    )  # fmt: skip
    return enter(recorder, made, stored, what=f"{what} from {first.what}")


def _kind(places: tuple[Place, ...]) -> str:
    kinds = ["s3" if isinstance(p, BucketPlace) else "cloudwatch-logs" for p in places]
    return " and ".join(dict.fromkeys(kinds))


def _broken(spool: LineSpool, what: str) -> list[str]:
    bad = [r for r in spool.reports.values() if r.problem]
    found = (
        [f"{count(len(bad), 'file')} of {what} not read whole, the first {bad[0].name}: {bad[0].problem}"]
        if bad
        else []
    )
    unread = sum(r.unread for r in spool.reports.values())
    found += [f"{count(unread, 'line')} not of the form that {what} have"] if unread else []
    foreign = sum(r.foreign for r in spool.reports.values())
    return [*found, *([f"{count(foreign, 'line')} of another account left out"] if foreign else [])]
