"""The audit's operators: which cases, and what one audit returns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from forensics.aws.case_store import CaseStore
from forensics.case import audit_operators
from forensics.case.audit_operators import AuditCaseOperator, ListCasesOperator, SummarizeAuditOperator
from forensics.custody.audit import CaseAudit
from forensics.custody.audit_rules import AuditReport
from forensics.errors import InvalidCaseError
from tests.unit.builders import CASE_ID, NOW, case
from tests.unit.recorders import FakeRecorder, StoreInMemory, context


def test_a_named_case_is_the_only_one(monkeypatch: pytest.MonkeyPatch, settings_environment: dict[str, str]) -> None:
    monkeypatch.setattr(CaseStore, "of", lambda *_: None)
    monkeypatch.setattr(audit_operators, "list_cases", lambda store: ["all"])
    monkeypatch.setattr(audit_operators.EvidenceArchive, "of", lambda *_: None)
    monkeypatch.setattr(audit_operators.ForensicsHook, "forensic", lambda *_: None)
    monkeypatch.setattr(audit_operators, "schedule", lambda store, archive, cases, **_: cases)
    run = context(dag_run=SimpleNamespace(run_id="run-1"))
    assert ListCasesOperator(task_id="list", case_id=CASE_ID).execute(run) == [CASE_ID]
    for none in ("", "None"):
        assert ListCasesOperator(task_id="list", case_id=none).execute(run) == ["all"]
    with pytest.raises(InvalidCaseError):
        ListCasesOperator(task_id="list", case_id="fc-1").execute(context())


def test_an_audit_returns_its_report(monkeypatch: pytest.MonkeyPatch) -> None:
    report = AuditReport(case_id=CASE_ID, at=NOW, events=3, heads=1, objects=2, size_bytes=9, snapshots=1)
    recorder, task = FakeRecorder(), AuditCaseOperator(task_id="audit_case", case_id=CASE_ID)
    monkeypatch.setattr(CaseAudit, "run", lambda self, evidence: report)
    monkeypatch.setattr(audit_operators.EvidenceArchive, "of", lambda *_: None)
    monkeypatch.setattr(task, "_bind", lambda: recorder)
    monkeypatch.setattr(AuditCaseOperator, "settings", SimpleNamespace(legal_hold=True, audit_every_days=90))
    task._sessions = SimpleNamespace(forensic=lambda *_, **__: None)  # type: ignore[assignment]
    done = task.execute(context(dag_run=SimpleNamespace(run_id="run-1")))
    assert done == report.model_copy(update={"run_id": "run-1"}).model_dump(mode="json")


def test_the_run_is_summed_up(monkeypatch: pytest.MonkeyPatch, settings_environment: dict[str, str]) -> None:
    store = StoreInMemory()
    monkeypatch.setattr(CaseStore, "of", lambda *_: store)
    monkeypatch.setattr(audit_operators, "list_cases", lambda _: [case()])
    done = SummarizeAuditOperator(task_id="sum").execute(context(dag_run=SimpleNamespace(run_id="run-1")))
    assert isinstance(done, dict) and done["cases"] == 1 and "rows" not in done
