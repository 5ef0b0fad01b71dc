"""The part of a task that asks a person."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskAwaitingInput

from forensics.case.recorder import CaseRecorder
from forensics.case.step import Json
from forensics.containment.approval import HumanResponse
from forensics.containment.approval_operators import _ApprovalOperator
from tests.unit.builders import CASE_ID
from tests.unit.containment.case_world import World
from tests.unit.containment.test_operators import answer, asked, run_context

__all__ = ["asked"]


class Question(_ApprovalOperator):
    """Asks whether to proceed."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="?", options=["Yes", "No"], defaults=["No"], **kwargs)

    def act(self, recorder: CaseRecorder, context: Any) -> Json:
        """Ask."""
        self.ask("Proceed?", "**why**", default="Yes", context=context)
        return None

    def answered(self, recorder: CaseRecorder, response: HumanResponse) -> Json:
        """Hand the answer on."""
        return {"case": recorder.case_id, "by": response.name, "chosen": list(response.chosen_options)}


@pytest.fixture
def question(airflow_side: World) -> Question:
    """The task."""
    return Question(task_id="question", case_id=CASE_ID)


def test_it_waits_for_an_answer_as_long_as_the_setting_says(
    question: Question, airflow_side: World, asked: Any
) -> None:
    with pytest.raises(TaskAwaitingInput) as caught:
        question.execute(run_context())
    detail = asked.call_args.kwargs
    assert (detail["subject"], detail["body"], detail["defaults"]) == ("Proceed?", "**why**", ["Yes"])
    assert caught.value.timeout == timedelta(seconds=airflow_side.settings.approval_timeout_seconds)
    assert caught.value.method_name == "execute_complete"


def test_the_answer_reaches_the_step_with_its_case(question: Question) -> None:
    found = question.execute_complete(run_context(), answer("No", user="bob"))
    assert found == {"case": CASE_ID, "by": "bob", "chosen": ["No"]}
