"""The step that stores a timeline, as Airflow sees it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.execution_time.context import OutletEventAccessors

from forensics import case_keys
from forensics.models.timeline import TimelineStore
from forensics.timeline.assets import CASE_TIMELINE
from forensics.timeline.operators import StoreTimelineOperator
from tests.unit.recorders import context
from tests.unit.timeline.test_writer import case_with_timeline


def test_the_step_stores_a_version_and_says_how_much(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, task = case_with_timeline(), StoreTimelineOperator(task_id="store_timeline")
    monkeypatch.setattr(task, "_bind", lambda: recorder)
    task.case_id = recorder.case_id
    run, events = SimpleNamespace(dag_id="forensic_case", run_id=recorder.case_id), OutletEventAccessors()
    said = task.execute(context(dag_run=run, outlet_events=events))
    store = recorder.get(case_keys.TIMELINE_STORE, TimelineStore)
    assert store and said == {"version": store.version, "rows": store.rows, "cut": []}
    assert events[CASE_TIMELINE].extra == {"case_id": recorder.case_id, "version": store.version}
