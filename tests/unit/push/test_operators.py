"""The steps of case_push as Airflow sees them: which cases, and that a push that fails is no failure of the case."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics import case_keys
from forensics.errors import InvalidCaseError, PushError
from forensics.models.push import Pushed
from forensics.push import operators
from forensics.push.operators import ListPushesOperator, PushCaseOperator
from forensics.timeline.assets import CASE_TIMELINE
from tests.unit.preflight.conftest import settings_with
from tests.unit.recorders import context
from tests.unit.report.test_gap_counts import Stored

CASE, OTHER = "fc-20261124-0a1b2c3d4e", "fc-20261125-0a1b2c3d4e"
FAILED = {"soc": "it answered 500. What to do next: look at its log"}


def listed(monkeypatch: pytest.MonkeyPatch, case_id: str = "", *, pushes: str = "a=b", extras: Any = ()) -> list[str]:
    monkeypatch.setattr(operators, "get_settings", lambda: settings_with(pushes=pushes))
    events = {CASE_TIMELINE: [SimpleNamespace(extra=extra) for extra in extras]}
    return ListPushesOperator(task_id="list_pushes", case_id=case_id).execute(context(triggering_asset_events=events))


def test_the_cases_are_those_of_the_events_or_the_one_that_was_named(monkeypatch: pytest.MonkeyPatch) -> None:
    extras = [{"case_id": CASE}, {"case_id": OTHER}, {"case_id": CASE}, {"case_id": "$(rm)"}, None, {}]
    assert listed(monkeypatch, extras=extras) == [CASE, OTHER]
    assert listed(monkeypatch, OTHER, extras=extras) == [OTHER]
    with pytest.raises(InvalidCaseError):
        listed(monkeypatch, "../x")


def test_without_a_system_or_a_case_the_run_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ({"pushes": "", "case_id": CASE}, {"extras": []}):
        with pytest.raises(AirflowSkipException):
            listed(monkeypatch, **given)


def pushed(monkeypatch: pytest.MonkeyPatch, recorder: Stored, answer: Any, *, try_number: int = 1) -> Any:
    """Run the step with what a push answers; the systems themselves have tests of their own."""
    sessions = SimpleNamespace(own=lambda: None, settings=settings_with())
    task = PushCaseOperator(task_id="push_case", case_id=recorder.case_id)

    def bind() -> Stored:
        task._sessions = sessions  # type: ignore[assignment]
        return recorder

    def answers(*_: Any) -> Any:
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(task, "_bind", bind)
    monkeypatch.setattr(operators.PushTargets, "of", lambda *_: None)
    monkeypatch.setattr(operators, "push_case", answers)
    run = SimpleNamespace(dag_id="case_push", run_id="r")
    return task.execute(context(try_number, dag_run=run))


def test_the_result_has_an_address_for_each_system(monkeypatch: pytest.MonkeyPatch, recorder: Stored) -> None:
    at = recorder.case.opened_at
    made = Pushed(name="soc", kind="openrelik", at=at, version="v", where="https://relik.example.com/folder/1")
    assert pushed(monkeypatch, recorder, ([made], {})) == {"soc": "https://relik.example.com/folder/1"}


def test_a_try_that_is_repeated_says_nothing_yet(monkeypatch: pytest.MonkeyPatch, recorder: Stored) -> None:
    before = len(recorder.view().timeline)
    with pytest.raises(PushError):
        pushed(monkeypatch, recorder, ([], FAILED))
    assert len(recorder.view().timeline) == before and not recorder.mailbox.mail


@pytest.mark.parametrize("answer", [([], FAILED), RuntimeError("a defect"), PushError("no timeline")])
def test_the_last_try_is_a_note_and_a_message_and_no_gap(
    monkeypatch: pytest.MonkeyPatch, recorder: Stored, answer: Any
) -> None:
    failures = len(list(recorder.store.items(recorder.case_id, case_keys.FAILURE)))
    with pytest.raises(AirflowFailException, match="not pushed"):
        pushed(monkeypatch, recorder, answer, try_number=3)
    assert len(list(recorder.store.items(recorder.case_id, case_keys.FAILURE))) == failures
    assert any(entry.what.startswith("not pushed. ") for entry in recorder.view().timeline)
    (mail,) = recorder.mailbox.mail
    assert mail.event == "push_failed" and any(line.startswith("What to do next: ") for line in mail.lines)
