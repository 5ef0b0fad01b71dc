"""What a responder should do now."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forensics.models.case import CaseView, Phase, StepFailure
from forensics.models.containment import ReleaseResult
from forensics.models.evidence import Outcome
from forensics.report import render_html
from forensics.report.next_steps import next_steps
from forensics.report.page import Live
from tests.unit.builders import NOW, case
from tests.unit.builders import view as blank
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


def failed(step: str, next_action: str) -> StepFailure:
    return StepFailure(step=step, cause="AWS said no", next_action=next_action, at=NOW)


@pytest.mark.parametrize(
    ("step", "said", "shown", "linked"),
    [
        (
            "disk.copy_snapshots",
            "fix the role, then clear this task",
            "fix the role, then clear disk.copy_snapshots",
            True,
        ),
        (
            "memory.live_response",
            "read the task's log, then clear the task",
            "read the task's log, then clear memory.live_response",
            True,
        ),
        (
            "close:retention",
            "give the role custodian the right, then clear the step",
            "give the role custodian the right, then clear the step",
            False,
        ),
        ("notify:opened", "look at the topic", "look at the topic", False),
    ],
)
def test_a_step_is_named_where_it_is_to_be_cleared(step: str, said: str, shown: str, linked: bool) -> None:
    (found,) = next_steps(blank(failures=(failed(step, said),)))
    assert (found.do, found.step) == (shown, step if linked else "")
    link = f'href="/airflow/dags/forensic_case/runs/r%2B1/tasks/{step}" target="_top"'
    page = render_html(blank(case=case(run_id="r+1"), failures=(failed(step, said),)), live=Live(airflow="/airflow"))
    assert (link in page) is linked
    assert "/tasks/" not in render_html(blank(case=case(run_id="r+1"), failures=(failed(step, said),)))


def test_an_item_whose_step_says_what_to_do_is_not_asked_for_twice(view: CaseView) -> None:
    for item in view.evidence:
        if item.reason and any(item.reason in failure.cause for failure in view.failures):
            assert not any(item.evidence_id in step.do and step.do.startswith("Decide") for step in next_steps(view))


def test_after_the_release_nothing_of_the_containment_is_left_to_do() -> None:
    closed = sample.containment()
    assert closed.residuals
    contained = blank(containment=closed, failures=(failed("containment.isolate_target", "isolate manually"),))
    assert any("containment leaves open" in step.do for step in next_steps(contained))
    released = contained.model_copy(
        update={"release": ReleaseResult(outcome=Outcome.DONE, released_at=NOW + timedelta(days=1))}
    )
    assert next_steps(released) == []
