"""The step that stores a case's whole timeline."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context

from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.timeline.assets import CASE_TIMELINE
from forensics.timeline.writer import store_timeline


class StoreTimelineOperator(ForensicOperator):
    """Store every entry of every source as Parquet in the evidence store; what the case table holds is the notable part.

    Each version is an event of the asset ``forensics_case_timeline``.
    """

    takes_artifacts = True

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("outlets", [CASE_TIMELINE])
        super().__init__(**kwargs)

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Write a version; the result says how many entries it has."""
        store = store_timeline(recorder)
        context["outlet_events"][CASE_TIMELINE].extra = {"case_id": recorder.case_id, "version": store.version}
        return {"version": store.version, "rows": store.rows, "cut": list(store.cut)}
