"""case_push: without a schedule until a system is named, then started by stored timelines."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from airflow.sdk import Asset

from forensics.push.operators import PushCaseOperator
from forensics.settings import PREFIX
from forensics.timeline.assets import CASE_TIMELINE
from forensics.timeline.operators import StoreTimelineOperator

FILE = Path(__file__).parents[3] / "dags" / "case_push.py"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("case_push_again", FILE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_off_until_a_system_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"{PREFIX}PUSHES", raising=False)
    assert loaded().dag.schedule is None
    monkeypatch.setenv(f"{PREFIX}PUSHES", "soc=forensics/channel/soc")
    dag = loaded().dag
    assert dag.schedule == [CASE_TIMELINE]
    assert StoreTimelineOperator(task_id="x").outlets == [Asset(name="forensics_case_timeline")]
    assert dag.get_task("push_case").operator_class is PushCaseOperator
    assert dag.get_task("push_case").upstream_task_ids == {"list_pushes"}
