"""The report's operators: what Airflow sees of them."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import OutletEventAccessors

from forensics.case.step import ForensicOperator
from forensics.custody.holding import Kept
from forensics.errors import AccessDeniedError
from forensics.models.evidence import DiskEvidence
from forensics.report import operators
from forensics.report.assets import CASE_REPORT
from forensics.report.operators import CloseCaseOperator, WriteReportOperator
from tests.unit.preflight.conftest import settings_with
from tests.unit.recorders import FakeRecorder, context
from tests.unit.report import sample
from tests.unit.report.test_gap_counts import Stored


class Keeping:
    """Keeps everything at once."""

    def keep(self, disks: list[DiskEvidence], *, until: datetime, hold: bool) -> Kept:
        """Nothing fails."""
        return Kept(objects=3)


def run(task: ForensicOperator, recorder: FakeRecorder, monkeypatch: pytest.MonkeyPatch, **more: Any) -> Any:
    """Execute a step with this recorder."""
    monkeypatch.setattr(task, "_bind", lambda: recorder)
    task.case_id = recorder.case_id
    dag_run = SimpleNamespace(dag_id="forensic_case", run_id=recorder.case_id)
    return task.execute(context(dag_run=dag_run, outlet_events=OutletEventAccessors(), **more))


def test_a_report_is_an_event_of_its_asset(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder, task = Stored(sample.complete_view()), WriteReportOperator(task_id="write_report")
    assert task.outlets == [CASE_REPORT] and CASE_REPORT.name == "forensics_case_report"
    events = OutletEventAccessors()
    monkeypatch.setattr(WriteReportOperator, "settings", settings_with())
    monkeypatch.setattr(task, "_bind", lambda: recorder)
    task.case_id = recorder.case_id
    dag_run = SimpleNamespace(dag_id="forensic_case", run_id=recorder.case_id)
    uris: Any = task.execute(context(dag_run=dag_run, outlet_events=events))
    assert events[CASE_REPORT].extra == {"case_id": recorder.case_id, "report": uris["html"]}


def test_a_report_has_a_summary_where_a_model_is_named_and_is_written_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder, task = Stored(sample.rich_view()), WriteReportOperator(task_id="write_report")
    monkeypatch.setattr(WriteReportOperator, "settings", settings_with(summary_model="amazon.nova-pro-v1:0"))

    def denied(phase: str) -> None:
        raise AccessDeniedError(f"assume role {phase}: denied")

    task._sessions = SimpleNamespace(forensic=denied)  # type: ignore[assignment]
    uris = run(task, recorder, monkeypatch)
    summary = recorder.view().summary
    assert summary and summary.failed == "assume role summary: denied"
    stored = recorder.evidence_store.objects[uris["html"].removeprefix("s3://evidence/")].decode()
    assert "There is no summary: assume role summary: denied" in stored


def test_other_outlets_can_be_given() -> None:
    assert WriteReportOperator(task_id="write_report", outlets=[]).outlets == []


@pytest.mark.parametrize(("view", "words"), [(sample.complete_view(), None), (sample.rich_view(), "with 9 gaps: ")])
def test_closing_fails_with_the_gaps_and_succeeds_without(
    view: Any, words: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, task = Stored(view), CloseCaseOperator(task_id="close_case")
    if words is None:
        recorder.evidence_store.put(f"cases/{recorder.case_id}/report/1/report.html", b"x")
    monkeypatch.setattr(operators, "remove_forensic_resources", lambda *_: None)
    monkeypatch.setattr(operators, "annotate", lambda *_, **__: None)
    task._sessions = SimpleNamespace(forensic=lambda: None)  # type: ignore[assignment]
    monkeypatch.setattr(CloseCaseOperator, "settings", SimpleNamespace(retention_days=30, case_metrics=False))
    monkeypatch.setattr(operators.EvidenceHolding, "of", lambda _: Keeping())
    if words is None:
        assert run(task, recorder, monkeypatch) == "CLOSED"
    else:
        with pytest.raises(AirflowFailException, match=words) as caught:
            run(task, recorder, monkeypatch)
        assert "clear the failed tasks in this run" in str(caught.value)


@pytest.mark.parametrize("kind", [CloseCaseOperator, WriteReportOperator])
def test_an_earlier_failure_of_the_step_itself_is_no_gap_when_it_is_repeated(
    kind: type[ForensicOperator], monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder, task, cleared = Stored(sample.complete_view()), kind(task_id="itself"), []
    monkeypatch.setattr(recorder, "clear_failed", cleared.append)
    monkeypatch.setattr(task, "_bind", lambda: recorder)
    stop = RuntimeError("the work begins")

    def begins(*_: object, **__: object) -> None:
        assert cleared == ["itself"], "it is cleared before the case is looked at"
        raise stop

    monkeypatch.setattr(operators, "close_case", begins)
    monkeypatch.setattr(operators, "write_report", begins)
    monkeypatch.setattr(WriteReportOperator, "_summarize", lambda *_: None)
    with pytest.raises(RuntimeError, match="the work begins"):
        run(task, recorder, monkeypatch)
