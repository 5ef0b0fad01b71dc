"""A case for plugs: its stored timeline, what its tools made, its report, and where its evidence lies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forensics.aws.s3 import EvidenceStore
from forensics.confined import MIB
from forensics.errors import DigestMismatchError
from forensics.models.case import Case, CaseView
from forensics.models.custody import CustodyAction
from forensics.models.timeline import TimelinePart, TimelineSource, TimelineStore
from forensics.printable import count
from forensics.push.plug import PushedObject
from forensics.timeline.columnar import write_timesketch

# Lines of the timeline at most; a line of a stored timeline has some hundred bytes.
MOST_ENTRIES = 20_000_000
# What speaks of the case first; plaso's output has millions of lines and comes last.
_ORDER = tuple(TimelineSource)


class StoredCase:
    """A case in its stores; copies lie below ``folder``. ``most_mib``: of the timeline, and of each object."""

    def __init__(
        self, view: CaseView, store: TimelineStore, evidence: EvidenceStore, *, folder: Path, most_mib: int
    ) -> None:
        self._view, self._store, self._evidence = view, store, evidence
        self._folder, self._most = folder, most_mib * MIB
        self._left_out: dict[str, str] = {}
        self._timeline: tuple[Path, int] | None = None

    @property
    def case(self) -> Case:
        """The head record."""
        return self._view.case

    @property
    def version(self) -> str:
        """The version of the stored timeline."""
        return self._store.version

    @property
    def title(self) -> str:
        """A name for people."""
        case = self.case
        return f"{case.case_id} {case.account_id} {case.instance_id}"

    @property
    def left_out(self) -> tuple[str, ...]:
        """What was not given to a plug, and why."""
        return (*self._store.cut, *(f"{name}: {why}" for name, why in self._left_out.items()))[:100]

    @property
    def objects(self) -> tuple[PushedObject, ...]:
        """The artifacts of the tools, and the newest report."""
        made = [
            PushedObject(f"{run.evidence_id}-{run.activity}-{_file(stored.uri, name)}", run.evidence_id, stored.uri, stored.sha256, stored.bytes)
            for run in self._view.investigations
            if run.succeeded
            for name, stored in sorted(run.artifacts.items())
        ]  # fmt: skip
        return (*self._report(), *made)

    def _report(self) -> Iterator[PushedObject]:
        written = [e for e in self._view.custody if e.action is CustodyAction.REPORT_WRITTEN]
        for name in ("html", "json"):
            item = written[-1].detail.get(name) if written else None
            if isinstance(item, dict) and {"uri", "sha256"} <= item.keys():
                uri = str(item["uri"])
                size = self._evidence.look(self._key(uri))[1]
                yield PushedObject(f"{uri.split('/')[-2]}-report.{name}", "", uri, str(item["sha256"]), size)

    def pointers(self) -> bytes:
        """The evidence as JSON: where each item lies and what its digests are."""
        case = self.case
        listed = [item.model_dump(mode="json", exclude_none=True) for item in self._view.evidence]
        about = {
            "schema": "forensics.evidence-pointers/1", "case_id": case.case_id, "account_id": case.account_id, "region": case.region,
            "subject": case.instance_id, "timeline_version": self.version, "custody_head": self._view.custody_head, "evidence": listed,
        }  # fmt: skip
        return json.dumps(about, indent=1, sort_keys=True).encode()

    def timeline(self) -> tuple[Path, int]:
        """The timeline in Timesketch's form and its number of lines; the second call finds what the first has made."""
        if self._timeline is None:
            whole, lines = self._folder / "timeline.jsonl", 0
            whole.touch()
            for part in sorted(self._store.parts, key=lambda p: _ORDER.index(p.source)):
                lines += self._append(part, whole, lines)
            self._timeline = whole, lines
        return self._timeline

    def _append(self, part: TimelinePart, whole: Path, before: int) -> int:
        room = self._most - whole.stat().st_size
        if room <= 0:
            self._cut(part, 0)
            return 0
        file, made = self._folder / "part.parquet", self._folder / "part.jsonl"
        try:
            self._copy(part.uri, part.sha256, file)
            write_timesketch(
                file, made, source=part.source.value, case_id=self.case.case_id, most=MOST_ENTRIES - before
            )
            written = _append_lines(made, whole, room)
        finally:
            file.unlink(missing_ok=True)
            made.unlink(missing_ok=True)
        if written < part.rows:
            self._cut(part, written)
        return written

    def _cut(self, part: TimelinePart, written: int) -> None:
        name = f"timeline, source {part.source.value}, {part.evidence_id or 'the case'}"
        self._left_out[name] = (
            f"{written:,} of {count(part.rows, 'entry', 'entries')} (forensics.push_mib); the stored timeline has all"
        )

    @contextmanager
    def opened(self, item: PushedObject) -> Iterator[Path | None]:
        """A checked copy for the block. Raises :class:`DigestMismatchError` where the store has other bytes than the ledger says."""
        if item.bytes > self._most:
            self._left_out[item.name] = f"{item.bytes} bytes, more than forensics.push_mib; it lies at {item.uri}"
            yield None
            return
        file = self._folder / "object"
        try:
            self._copy(item.uri, item.sha256, file)
            yield file
        finally:
            file.unlink(missing_ok=True)

    def _copy(self, uri: str, sha256: str, file: Path) -> None:
        digest = hashlib.sha256()
        with file.open("wb") as made:
            for piece in self._evidence.stream(self._key(uri)):
                digest.update(piece)
                made.write(piece)
        if digest.hexdigest() != sha256:
            msg = f"{uri}: {digest.hexdigest()} was read, the ledger says {sha256}; nothing of it was pushed"
            raise DigestMismatchError(msg, next_action="start the DAG evidence_audit for this case")

    def _key(self, uri: str) -> str:
        return uri.removeprefix(f"s3://{self._evidence.bucket}/")


def _file(uri: str, name: str) -> str:
    last = uri.rpartition("/")[2]
    return last or name


def _append_lines(made: Path, whole: Path, room: int) -> int:
    """Append whole lines as long as there is room; how many."""
    written = 0
    with made.open("rb") as lines, whole.open("ab") as target:
        for line in lines:
            room -= len(line)
            if room < 0:
                break
            target.write(line)
            written += 1
    return written
