"""The daily run of evidence_retention: which cases, and what becomes of one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case import retention_operators
from forensics.case.retention_operators import KeepEvidenceOperator, ListDueCasesOperator
from forensics.errors import CustodyError, InvalidCaseError
from forensics.models.case import CaseStatus
from forensics.models.custody import HoldLift, Retention
from tests.unit.builders import CASE_ID, NOW, case
from tests.unit.case.test_retention import Keeping
from tests.unit.recorders import FakeRecorder, StoreInMemory, context

SETTINGS = SimpleNamespace(retention_days=100, legal_hold=True)


def test_cases_that_are_due_are_listed_or_the_named_one(
    monkeypatch: pytest.MonkeyPatch, settings_environment: dict[str, str]
) -> None:
    store = StoreInMemory()
    closed = case(status=CaseStatus.CLOSED, closed_at=NOW)
    monkeypatch.setattr(CaseStore, "of", lambda *_: store)
    monkeypatch.setattr(retention_operators, "list_cases", lambda _: [closed])
    assert ListDueCasesOperator(task_id="list").execute(context()) == [CASE_ID]
    done = Retention(basis="closed", until=NOW + timedelta(days=365), at=NOW)
    store.put(CASE_ID, case_keys.RETENTION, done)
    assert ListDueCasesOperator(task_id="list").execute(context()) == []
    assert ListDueCasesOperator(task_id="list", case_id=CASE_ID).execute(context()) == [CASE_ID]
    with pytest.raises(InvalidCaseError):
        ListDueCasesOperator(task_id="list", case_id="fc-1").execute(context())


def kept(monkeypatch: pytest.MonkeyPatch, recorder: FakeRecorder) -> Keeping:
    keeping, task = Keeping(), KeepEvidenceOperator(task_id="keep_evidence", case_id=CASE_ID)
    monkeypatch.setattr(retention_operators.EvidenceHolding, "of", lambda _: keeping)
    monkeypatch.setattr(KeepEvidenceOperator, "settings", SETTINGS)
    monkeypatch.setattr(task, "_bind", lambda: recorder)
    task._sessions = SimpleNamespace()  # type: ignore[assignment]
    result: Any = task.execute(context())
    assert result["failures"] == []
    return keeping


def test_an_open_case_is_held_from_now(monkeypatch: pytest.MonkeyPatch) -> None:
    ((until, hold),) = kept(monkeypatch, FakeRecorder()).asked
    assert hold and until > datetime.now(UTC) + timedelta(days=99)


def test_a_closed_case_is_kept_from_its_closing_and_what_failed_then_is_no_gap_any_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = FakeRecorder(case(status=CaseStatus.CLOSED_WITH_GAPS, closed_at=NOW))
    recorder.mark_failed("close:retention", CustodyError("not kept"))
    assert kept(monkeypatch, recorder).asked == [(NOW + timedelta(days=100), False)]
    assert recorder.store.failures(CASE_ID) == {}


def test_a_hold_that_two_people_have_lifted_is_not_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = FakeRecorder()
    lift = HoldLift(digest="0" * 64, objects=1, requester="a", reason="b", at=NOW, lifted_at=NOW)
    recorder.put(case_keys.HOLD_LIFT, lift)
    ((_, hold),) = kept(monkeypatch, recorder).asked
    assert not hold
