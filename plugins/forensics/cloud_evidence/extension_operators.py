"""The records of a case reach further back, once, where findings of disk, memory or the records themselves do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from airflow.sdk import Context

from forensics.case.recorder import CaseRecorder
from forensics.case.step import Json
from forensics.cloud_evidence.flow_collection import FlowCollection
from forensics.cloud_evidence.log_findings import FLOWS, QUERIES, read_records
from forensics.cloud_evidence.operators import _CloudEvidenceOperator
from forensics.cloud_evidence.query_collection import QueryCollection
from forensics.cloud_evidence.reading_orders import alarm_of, flow_order, query_order, read_trail
from forensics.cloud_evidence.record_window import further_back
from forensics.cloud_evidence.trail_collection import TrailCollection
from forensics.cloud_evidence.trail_lake import LakeWait
from forensics.errors import ForensicsError
from forensics.models.case import TimelineKind
from forensics.models.evidence import CloudTrailEvidence, FlowLogEvidence, LogEvidence, Outcome, QueryLogEvidence
from forensics.models.target import Target

Extended = CloudTrailEvidence | FlowLogEvidence | QueryLogEvidence
_HELD = {Outcome.ACQUIRED, Outcome.PARTIAL}


class ExtendRecordsOperator(_CloudEvidenceOperator):
    """Collect the records again from further back, where findings are older than the window; what was stored before stays."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Extend each item that has records; one that cannot be extended stays as it is, and that is said."""
        items = self._items(recorder)
        since = self._since(recorder, items)
        if since is None:  # so it is, too, where triage has failed: that is told by triage
            return {"extended": []}
        said = f"findings are older than the records: those from {since:%Y-%m-%d %H:%MZ} on are collected"
        recorder.note(said, kind=TimelineKind.EVIDENCE)
        return self._extend(recorder, items, since)

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, object], context: Context) -> Json:
        """Go on when CloudTrail Lake has found what it was asked for."""
        items = self._items(recorder)
        since = self._since(recorder, items)
        return {"extended": []} if since is None else self._extend(recorder, items, since)

    def _items(self, recorder: CaseRecorder) -> list[Extended]:
        """What has records. CloudTrail's come last: the others do not wait for its Lake."""
        kinds = (CloudTrailEvidence, FlowLogEvidence, QueryLogEvidence)
        items = [e for e in recorder.evidence() if isinstance(e, kinds) and e.outcome in _HELD and e.origin.begin]
        return sorted(items, key=lambda e: isinstance(e, CloudTrailEvidence))

    def _extend(self, recorder: CaseRecorder, items: list[Extended], since: datetime) -> Json:
        target = self.described(recorder)
        try:
            made = [self._again(recorder, target, item, since) for item in items]
        except LakeWait as found:
            self.wait_for_lake(recorder, found)
            return None
        return {"extended": made, "since": since.isoformat()}

    def _since(self, recorder: CaseRecorder, items: list[Extended]) -> datetime | None:
        """From when on; an earlier try of this step has said it already where it has stored something."""
        for item in items:
            if self.held(recorder, item):
                return item.origin.begin
        view, begins = recorder.gateways.view(recorder.case_id), [e.origin.begin for e in items if e.origin.begin]
        if view is None or not begins:
            return None
        margin = self.settings.record_margin_hours
        return further_back(view.results, begin=min(begins), alarm=alarm_of(recorder), margin_hours=margin)

    def _again(self, recorder: CaseRecorder, target: Target, item: LogEvidence, since: datetime) -> Json:
        try:
            made = item if self.held(recorder, item) else self._collected(recorder, target, item, since)
            return {
                "evidence_id": made.evidence_id,
                "outcome": made.outcome.value,
                "findings": self._read(recorder, target, made),
            }
        except ForensicsError as error:
            recorder.note(f"{item.evidence_id} does not reach further back: {error}"[:900], kind=TimelineKind.EVIDENCE)
            return {"evidence_id": item.evidence_id, "failed": str(error)[:300]}

    def _collected(self, recorder: CaseRecorder, target: Target, item: LogEvidence, since: datetime) -> LogEvidence:
        if isinstance(item, CloudTrailEvidence):
            trail = TrailCollection.of(recorder, self.sessions)
            return trail.collect(target, trail.trails(), since=since)
        lines = FlowCollection if isinstance(item, FlowLogEvidence) else QueryCollection
        return lines.of(recorder, self.sessions).collect(target, since=since)

    def _read(self, recorder: CaseRecorder, target: Target, item: LogEvidence) -> int:
        if isinstance(item, CloudTrailEvidence):
            return read_trail(recorder, self.sessions, item, target)
        if item.outcome not in _HELD:
            return 0
        if isinstance(item, FlowLogEvidence):
            return read_records(recorder, item, flow_order(recorder, target), FLOWS)
        return read_records(recorder, item, query_order(recorder, item), QUERIES)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The records stay as they are."""
        recorder.note(f"the records do not reach further back: {cause}"[:900], kind=TimelineKind.EVIDENCE)
