"""What a responder should do now."""

from __future__ import annotations

import pytest

from forensics.models.case import CaseView, Phase
from forensics.report.next_steps import next_steps
from tests.unit.report import sample


@pytest.fixture(scope="module")
def view() -> CaseView:
    """Everything at once."""
    return sample.rich_view()


def test_differing_digests_come_first_among_what_to_do(view: CaseView) -> None:
    assert next_steps(view)[0].do.startswith("Treat disk-vol-0a0a0a0a0a0a0a0a0 as damaged")
    assert next_steps(view)[0].urgent


def test_a_failed_steps_own_next_action_is_there(view: CaseView) -> None:
    assert "add the forensic account to the key policy, then clear disk.copy[1]" in {s.do for s in next_steps(view)}


def test_open_questions_are_left_to_a_person_only_when_no_step_can_answer_them() -> None:
    asked = "Answer by other means: "
    running = sample.running_view()
    ended = running.model_copy(update={"case": running.case.model_copy(update={"phase": Phase.REPORT})})
    assert not any(step.do.startswith(asked) for step in next_steps(running))
    assert any(step.do.startswith(asked) for step in next_steps(ended))
