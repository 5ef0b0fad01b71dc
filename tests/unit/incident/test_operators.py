"""The step that links cases, as Airflow sees it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from forensics.incident import operators
from forensics.incident.operators import LinkCasesOperator
from forensics.models.indicators import LinkedCase
from forensics.models.results import Confidence
from tests.unit.builders import NOW
from tests.unit.recorders import context
from tests.unit.report import sample
from tests.unit.report.test_gap_counts import Stored


def test_the_step_names_the_other_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, task = Stored(sample.complete_view()), LinkCasesOperator(task_id="link_cases")
    other = LinkedCase(case_id="fc-20261101-aaaaaaaaaa", confidence=Confidence.HIGH, shared=(), found_at=NOW)
    monkeypatch.setattr(operators, "link_case", lambda _: [other])
    monkeypatch.setattr(task, "_bind", lambda: recorder)
    task.case_id = recorder.case_id
    said = task.execute(context(dag_run=SimpleNamespace(dag_id="forensic_case", run_id=recorder.case_id)))
    assert said == ["fc-20261101-aaaaaaaaaa"]
