"""The export's operator: its arguments, as people give them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from forensics.errors import InvalidCaseError
from forensics.report import bundle_operators
from forensics.report.bundle_operators import ExportCaseOperator
from tests.unit.recorders import FakeRecorder, context


@pytest.mark.parametrize(
    ("given", "requester", "limit"),
    [("", "", None), ("0", "Ada", None), (0, "None", None), ("1024", " Ada ", 1024), (7, "Ada", 7)],
)
def test_arguments_reach_the_export(
    given: Any, requester: str, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int | None]] = []

    def export(recorder: Any, *, archive: Any, requester: str, largest_mib: int | None) -> dict[str, object]:
        asked.append((requester, largest_mib))
        return {"uri": "s3://e/b"}

    recorder = FakeRecorder()
    monkeypatch.setattr(bundle_operators, "export_case", export)
    monkeypatch.setattr(bundle_operators.EvidenceArchive, "of", lambda *_: None)
    task = ExportCaseOperator(task_id="export", case_id=recorder.case_id, largest_mib=given, requester=requester)
    monkeypatch.setattr(task, "_bind", lambda: recorder)
    task._sessions = SimpleNamespace(forensic=lambda role: None)  # type: ignore[assignment]
    monkeypatch.setattr(ExportCaseOperator, "settings", None)
    assert task.execute(context()) == {"uri": "s3://e/b"}
    assert asked == [("" if requester == "None" else requester.strip(), limit)]


def test_a_limit_that_is_no_number_is_refused_before_anything_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = FakeRecorder()
    monkeypatch.setattr(bundle_operators.EvidenceArchive, "of", lambda *_: None)
    task = ExportCaseOperator(task_id="export", case_id=recorder.case_id, largest_mib="large")
    task._sessions = SimpleNamespace(forensic=lambda role: None)  # type: ignore[assignment]
    monkeypatch.setattr(ExportCaseOperator, "settings", None)
    with pytest.raises(InvalidCaseError, match="largest_mib is 'large'"):
        task.act(recorder, context())
    assert recorder.ledger.events(recorder.case_id) == []
