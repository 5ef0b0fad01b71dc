"""The part of a task that asks people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.case.step import Json
from forensics.case.waiting import Reminders, all_waiting
from forensics.containment.approval_operators import Question, _ApprovalOperator
from forensics.containment.question_text import QuestionText
from forensics.models.approval import Approval, ApprovalSubject
from tests.unit.builders import CASE_ID
from tests.unit.containment.case_world import World
from tests.unit.containment.test_operators import answer, asked, run_context

__all__ = ["asked"]


class Asking(_ApprovalOperator):
    """Asks whether to proceed."""

    about = ApprovalSubject.RELEASE

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="?", options=["Yes", "No"], defaults=["No"], **kwargs)

    def act(self, recorder: CaseRecorder, context: Any) -> Json:
        """Ask."""
        text = QuestionText(effects=("It goes on.",), said=(("Reason", "see https://evil.example"),))
        self.ask(recorder, Question("d" * 64, recorder.run.askers, "Proceed?", text, event="proceed"), context)
        return None

    def asked_digest(self, recorder: CaseRecorder) -> str:
        """The one that was asked about."""
        return "d" * 64

    def decided(self, recorder: CaseRecorder, approval: Approval, context: Any) -> Json:
        """Hand the decision on."""
        return {"case": recorder.case_id, "granted": approval.granted, "reason": approval.reason}


@pytest.fixture
def step(airflow_side: World) -> Asking:
    """The task, in a deployment whose UI has an address."""
    airflow_side.recorder._ui_url = "https://airflow.example/"
    return Asking(task_id="question", case_id=CASE_ID)


def test_it_waits_for_an_answer_as_long_as_the_setting_says(step: Asking, airflow_side: World, asked: Any) -> None:
    with pytest.raises(TaskAwaitingInput) as caught:
        step.execute(run_context("alice"))
    detail = asked.call_args.kwargs
    assert (detail["subject"], detail["defaults"]) == (f"Proceed? (case {CASE_ID})", ["No"])
    assert caught.value.timeout == timedelta(seconds=airflow_side.settings.approval_timeout_seconds)
    assert caught.value.method_name == "execute_complete"


def test_the_message_links_to_the_question_and_names_its_end(step: Asking, airflow_side: World, asked: Any) -> None:
    with pytest.raises(TaskAwaitingInput):
        step.execute(run_context("alice", run_id="manual__2026-11-24T08:00:00+00:00"))
    (mail,) = airflow_side.recorder.mailbox.mail
    until = airflow_side.recorder.get(case_keys.RELEASE_APPROVAL, Approval)
    assert until is not None and until.until is not None
    place = (
        "https://airflow.example/dags/forensic_case/runs/manual__2026-11-24T08%3A00%3A00%2B00%3A00"
        "/tasks/question/required_actions"
    )
    assert f"Answer until {until.until:%Y-%m-%d %H:%M:%SZ} here: {place}; no answer means: No" in mail.lines
    assert "Reason: see https[:]//evil.example" in mail.lines
    assert mail.facts["answer_at"] == place and mail.facts["until"] == until.until.isoformat()


def test_without_the_uis_address_the_message_names_the_task(step: Asking, airflow_side: World, asked: Any) -> None:
    airflow_side.recorder._ui_url = ""
    with pytest.raises(TaskAwaitingInput):
        step.execute(run_context("alice"))
    (mail,) = airflow_side.recorder.mailbox.mail
    assert any(
        "Required Actions: task question of run run-1 of forensic_case; no answer" in line for line in mail.lines
    )


def test_people_are_reminded_of_the_question_until_it_is_answered(
    step: Asking, airflow_side: World, asked: Any
) -> None:
    recorder = airflow_side.recorder
    with pytest.raises(TaskAwaitingInput):
        step.execute(run_context("alice"))
    (waiting,) = all_waiting(recorder.store)
    known = recorder.get(case_keys.RELEASE_APPROVAL, Approval)
    assert known is not None and (waiting.what, waiting.until) == ("Proceed?", known.until)
    assert "/tasks/question/required_actions; no answer means: No" in waiting.next_action
    reminders = Reminders(recorder.notices, airflow_side.settings)
    assert reminders.send(waiting.since + timedelta(minutes=19)) == ([], [])
    assert reminders.send(waiting.since + timedelta(minutes=21)) == (["Proceed?"], [])
    assert "Proceed?" in recorder.subjects[-1] and recorder.subjects[-1].startswith("HIGH ")
    step.execute_complete(run_context("alice"), answer("No", user="bob"))
    assert reminders.send(waiting.since + timedelta(minutes=42)) == ([], [])
    assert list(all_waiting(recorder.store)) == []


def test_the_answer_reaches_the_step_with_its_case(step: Asking, asked: Any) -> None:
    with pytest.raises(TaskAwaitingInput):
        step.execute(run_context("alice"))
    found = step.execute_complete(run_context("alice"), answer("No", user="bob"))
    assert found == {"case": CASE_ID, "granted": False, "reason": "refused by bob"}


def test_a_question_that_stays_open_ends_when_it_would_have(step: Asking, airflow_side: World, asked: Any) -> None:
    """Another process goes on after the answer: it has nothing but what is stored."""
    with pytest.raises(TaskAwaitingInput):
        step.execute(run_context("alice"))
    known = airflow_side.recorder.get(case_keys.RELEASE_APPROVAL, Approval)
    assert known is not None
    soon = datetime.now(UTC) + timedelta(seconds=100)
    airflow_side.recorder.put(case_keys.RELEASE_APPROVAL, known.model_copy(update={"until": soon}))
    later = Asking(task_id="question", case_id=CASE_ID)
    with pytest.raises(TaskAwaitingInput) as caught:
        later.execute_complete(run_context("alice"), answer("Yes", user="alice", name="somebody else"))
    assert caught.value.timeout is not None and timedelta(seconds=50) < caught.value.timeout <= timedelta(seconds=100)
    assert asked.call_args.kwargs["defaults"] == ["No"]
    told = airflow_side.recorder.mailbox.mail[-1]
    assert told.event == "approval_still_open" and any(
        "/tasks/question/required_actions" in line for line in told.lines
    )
    with pytest.raises(AirflowFailException, match="nobody else answered in time"):
        later.execute_complete(run_context("alice"), answer("No", user=None))


def test_an_answer_to_a_question_that_nobody_has_on_record_is_an_error(step: Asking) -> None:
    with pytest.raises(AirflowFailException, match="not the one on record any more"):
        step.execute_complete(run_context(), answer("Yes"))
