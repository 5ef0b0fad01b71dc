"""The step that stores a case's whole timeline."""

from __future__ import annotations

from airflow.sdk import Context

from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.timeline.writer import store_timeline


class StoreTimelineOperator(ForensicOperator):
    """Store every entry of every source as Parquet in the evidence store; what the case table holds is the notable part."""

    takes_artifacts = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Write a version; the result says how many entries it has."""
        store = store_timeline(recorder)
        return {"version": store.version, "rows": store.rows, "cut": list(store.cut)}
