"""Stores the timeline of a case as Parquet: every entry of every source, in the case's prefix, locked, entered in the ledger."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from forensics import case_keys
from forensics.aws.s3 import StoredObject
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.confined import MIB, Confined, Limits
from forensics.errors import ConfinedError, DigestMismatchError
from forensics.models.case import CaseView
from forensics.models.custody import CustodyAction
from forensics.models.evidence import CloudTrailEvidence, FlowLogEvidence, Outcome, QueryLogEvidence
from forensics.models.timeline import TimelinePart, TimelineSource, TimelineStore
from forensics.naming import case_prefix
from forensics.printable import count
from forensics.timeline.case_rows import case_rows, finding_rows, notable_rows, source_of_tool
from forensics.timeline.columnar import count_rows, write_ordered
from forensics.timeline.record_rows import FUNCTION, RecordForm, RowOrder, RowsMade
from forensics.timeline.security_lake import store_detections

# Of one artifact so many entries at most: plaso's timeline of a server has some millions.
MOST_ROWS = 20_000_000
_LIMITS = Limits(memory=512 * MIB, cpu_seconds=3 * 3600, output=64 * 1024 * MIB, silence=600.0)
_OF_RECORDS: dict[type, RecordForm] = {
    CloudTrailEvidence: RecordForm.CLOUD_TRAIL,
    FlowLogEvidence: RecordForm.FLOW_LOGS,
    QueryLogEvidence: RecordForm.QUERY_LOGS,
}
Row = dict[str, object]


def results_of(view: CaseView) -> frozenset[str]:
    """SHA-256 of the results of every tool that has ended well."""
    return frozenset(
        i.artifacts["results"].sha256 for i in view.investigations if i.succeeded and "results" in i.artifacts
    )


@dataclass(frozen=True)
class _Records:
    """A stored object whose records become entries."""

    form: RecordForm
    source: TimelineSource
    evidence_id: str
    uri: str
    sha256: str


@dataclass
class _Made:
    """What was made so far."""

    parts: list[TimelinePart] = field(default_factory=list)
    unread: int = 0
    cut: list[str] = field(default_factory=list)


def store_timeline(recorder: CaseRecorder, *, most_rows: int = MOST_ROWS) -> TimelineStore:
    """Store a new version; earlier ones stay. Safe to repeat: parts that an earlier try has stored are taken as they are.

    What cannot be read of one artifact is named in ``cut``; the other parts are stored. Raises :class:`DigestMismatchError` for an
    artifact that is not what the ledger says it is.
    """
    began = begin(recorder)
    version = f"{began.at:%Y%m%dT%H%M%S%f}Z"
    known = recorder.get(case_keys.TIMELINE_STORE, TimelineStore)
    if known and known.version == version:
        return known
    view, made = recorder.view(), _Made()
    with tempfile.TemporaryDirectory(prefix="forensics-timeline-") as folder:
        writer = _Writer(recorder, view, version, Path(folder), made, most_rows)
        for source, rows in sorted(case_rows(view, until=began.at).items()):
            writer.from_rows(source, rows, name="entries")
        records = list(_records(view))
        for source, rows in sorted(_tool_rows(view, {r.evidence_id for r in records}).items()):
            writer.from_rows(source, rows, name="findings")
        for item in records:
            writer.from_records(item)
        store_detections(recorder, view, version=version, folder=Path(folder))
    store = TimelineStore(
        version=version, written_at=began.at, parts=tuple(made.parts), unread=made.unread, cut=tuple(made.cut),
        results=tuple(sorted(results_of(view))),
    )  # fmt: skip
    _record(recorder, store)
    return store


def _record(recorder: CaseRecorder, store: TimelineStore) -> None:
    key = f"{case_prefix(recorder.case_id)}timeline/{store.version}/manifest.json"
    stored, _ = recorder.gateways.evidence.put_first(
        key, store.model_dump_json(indent=1).encode(), content_type="application/json"
    )
    _state(recorder, stored, name="timeline/manifest")
    words = f"timeline stored: {count(store.rows, 'entry', 'entries')} in {count(len(store.parts), 'file')}"
    recorder.note("; ".join([words, *store.cut])[:900])
    # Last: with it the step is done.
    recorder.put(case_keys.TIMELINE_STORE, store)


def _state(recorder: CaseRecorder, stored: StoredObject, *, name: str, evidence_id: str = "", **more: object) -> None:
    recorder.custody(
        CustodyAction.ARTIFACT_STORED,
        evidence_id=evidence_id or None,
        detail={"name": name, "uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes, **more},
        once=f"artifact-{stored.key}",
    )


def _tool_rows(view: CaseView, with_records: set[str]) -> dict[TimelineSource, list[Row]]:
    """Findings of all tools, and the moments of those that have no records of their own."""
    own = {(i.evidence_id, i.tool) for i in view.investigations if "timeline" in i.artifacts}
    found: dict[TimelineSource, list[Row]] = {}
    for result in view.results:
        rows = found.setdefault(source_of_tool(result.tool, result.evidence_id), [])
        rows += finding_rows(view, result)
        if (result.evidence_id, result.tool) not in own and result.evidence_id not in with_records:
            rows += notable_rows(view, result)
    return found


def _records(view: CaseView) -> Iterator[_Records]:
    for item in view.investigations:
        stored = item.artifacts.get("timeline")
        if stored and item.succeeded:
            source = source_of_tool(item.tool, item.evidence_id)
            yield _Records(RecordForm.TIMESKETCH, source, item.evidence_id, stored.uri, stored.sha256)
    for evidence in view.evidence:
        form = _OF_RECORDS.get(type(evidence))
        if form and evidence.uri and evidence.digests and evidence.outcome in {Outcome.ACQUIRED, Outcome.PARTIAL}:
            first = evidence.digests[0].value
            yield _Records(form, TimelineSource.CLOUD, evidence.evidence_id, evidence.uri, first)


class _Writer:
    """Writes one part at a time into a folder, and from there into the evidence store."""

    def __init__(
        self, recorder: CaseRecorder, view: CaseView, version: str, folder: Path, made: _Made, most_rows: int
    ) -> None:
        self._recorder, self._view, self._folder, self._made = recorder, view, folder, made
        self._prefix = f"{case_prefix(recorder.case_id)}timeline/{version}/"
        self._most = most_rows

    def from_rows(self, source: TimelineSource, rows: Iterable[Row], *, name: str) -> None:
        """A part of entries that are here."""
        lines = self._folder / "rows.jsonl"
        with lines.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
        if lines.stat().st_size:
            self._store(lines, source, name=name)

    def from_records(self, item: _Records) -> None:
        """A part of stored records, which a confined child reads."""
        lines, case = self._folder / "rows.jsonl", self._view.case
        order = RowOrder(
            form=item.form, evidence_id=item.evidence_id, host=case.instance_id, account_id=case.account_id,
            region=case.region, most=self._most,
        )  # fmt: skip
        try:
            said = self._converted(item, order, lines)
        except ConfinedError as error:
            self._made.cut.append(f"records of {item.evidence_id} were not read: {error.message}"[:300])
            return
        self._made.unread += said.unread
        if said.cut:
            self._made.cut.append(f"{item.evidence_id}: only the first {self._most:,} entries; the artifact has all")
        if said.rows:
            self._store(lines, item.source, name=item.sha256[:16], evidence_id=item.evidence_id, made_of=item.sha256)

    def _converted(self, item: _Records, order: RowOrder, lines: Path) -> RowsMade:
        gateway, digest = self._recorder.gateways.evidence, hashlib.sha256()

        def passing() -> Iterator[bytes]:
            for piece in gateway.stream(item.uri.removeprefix(f"s3://{gateway.bucket}/")):
                digest.update(piece)
                yield piece

        with Confined(FUNCTION, order, limits=_LIMITS) as child, lines.open("wb") as file:
            pieces = passing()
            for made in child.passing(pieces):
                file.write(made)
            said = child.result(RowsMade)
        for _ in pieces:
            pass  # what the child did not ask for any more still belongs to the digest
        if digest.hexdigest() != item.sha256:
            msg = f"{item.uri}: {digest.hexdigest()} was read, the ledger says {item.sha256}"
            raise DigestMismatchError(msg)
        return said

    def _store(
        self, lines: Path, source: TimelineSource, *, name: str, evidence_id: str = "", made_of: str = ""
    ) -> None:
        file, gateway = self._folder / "part.parquet", self._recorder.gateways.evidence
        key = f"{self._prefix}source={source.value}/{evidence_id or 'case'}-{name}.parquet"
        stored = gateway.found(key)
        if stored is None:
            write_ordered(lines, file)
            stored = gateway.put_stream(key, _chunks(file), adopt=True)
        else:
            with file.open("wb") as earlier:
                earlier.writelines(gateway.stream(key))
        lines.unlink()
        rows = count_rows(file)
        file.unlink()
        detail = {"rows": rows, "source": source.value, "made_of": made_of}
        _state(self._recorder, stored, name=f"timeline/{source.value}", evidence_id=evidence_id, **detail)
        self._made.parts.append(
            TimelinePart(
                source=source, evidence_id=evidence_id, made_of=made_of, uri=stored.uri, sha256=stored.sha256,
                bytes=stored.size_bytes, rows=rows,
            )
        )  # fmt: skip


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(8 * MIB):
            yield piece
