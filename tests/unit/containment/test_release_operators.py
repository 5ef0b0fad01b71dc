"""The two tasks of a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput

from forensics import case_keys
from forensics.containment.release_operators import KEEP, RELEASE, PlanReleaseOperator, ReleaseTargetOperator
from forensics.models.approval import Approval
from forensics.models.containment import ReleasePlan
from forensics.models.custody import CustodyAction
from tests.unit.builders import CASE_ID
from tests.unit.containment.case_world import World
from tests.unit.containment.targets import eni
from tests.unit.containment.test_operators import answer, asked, isolate, run_context

__all__ = ["asked"]


def plan_release(**arguments: Any) -> PlanReleaseOperator:
    """The planning task, its arguments as Airflow renders them."""
    given = {"reason": "false alarm", "requester": "alice", "show_only": "False", **arguments}
    return PlanReleaseOperator(task_id="plan_release", case_id=CASE_ID, **given)


def in_run(user: str | None = "alice", **run: Any) -> Any:
    """The context of a task of a release that alice has started."""
    return run_context(user, **{"run_id": "release-1", "dag_id": "forensic_release", **run})


def release_step() -> ReleaseTargetOperator:
    """The releasing task."""
    return ReleaseTargetOperator(task_id="release_target", case_id=CASE_ID)


def release(**run: Any) -> Any:
    """Run the releasing task."""
    return release_step().execute(in_run(**run))


def asks(step: Any, **run: Any) -> None:
    """Execute until people are asked."""
    with pytest.raises(TaskAwaitingInput):
        step.execute(in_run(**run))


def answered(step: Any, option: str = RELEASE, *, user: str | None = "bob", name: str | None = None, **run: Any) -> Any:
    """Hand an answer to the step."""
    return step.execute_complete(in_run(**run), answer(option, user=user, name=name))


def approval_of(world: World) -> Approval:
    """The release's approval on record."""
    found = world.recorder.get(case_keys.RELEASE_APPROVAL, Approval)
    assert found is not None
    return found


@pytest.fixture
def contained(airflow_side: World) -> World:
    """A contained target."""
    isolate()
    airflow_side.account.calls.clear()
    airflow_side.phases.clear()
    return airflow_side


def test_a_release_takes_another_person_whatever_name_the_asker_answers_under(contained: World, asked: Any) -> None:
    step = plan_release()
    asks(step)
    detail = asked.call_args.kwargs
    assert detail["defaults"] == [KEEP] and "Requested by: `alice`" in detail["body"]
    assert contained.phases == ["release"]
    with pytest.raises(TaskAwaitingInput):
        answered(step, user="alice", name="Alice L.")
    with pytest.raises(AirflowFailException, match="is open in plan_release of run release-1: answer it there"):
        release()
    approved = answered(step)
    assert approved["approved_by"] == "bob" and contained.account.calls == []
    assert contained.recorder.ledger.last(CustodyAction.RELEASE_APPROVED).detail["not_counted"] == [
        "Alice L. (user id alice) asked for it and may not approve it"
    ]
    assert release() == {"outcome": "DONE", "calls": approved["calls"]}
    with pytest.raises(AirflowSkipException, match="nothing differs"):
        plan_release().execute(in_run())


def test_a_question_that_was_answered_is_not_asked_again_after_a_crash(contained: World, asked: Any) -> None:
    step = plan_release()
    asks(step)
    answered(step)
    asked.reset_mock()
    assert plan_release().execute(in_run())["approved_by"] == "bob"
    asked.assert_not_called()


def test_contained_again_the_old_release_asks_again(contained: World, asked: Any) -> None:
    """Contain, release, contain, and clear the step of the old release: nothing is released without another answer."""
    step = plan_release()
    asks(step)
    answered(step)
    release()
    isolate()
    closed = [i.group_ids for i in contained.account.target.interfaces]
    contained.account.calls.clear()
    asks(release_step())
    assert asked.call_count == 2 and "asked again: the approval was used at" in asked.call_args.kwargs["body"]
    assert contained.account.calls == [] and [i.group_ids for i in contained.account.target.interfaces] == closed
    again = release_step()
    with pytest.raises(TaskAwaitingInput):
        answered(again)
    assert approval_of(contained).needed == 2, "Airflow does not say who cleared the step"
    assert answered(again, user="carol")["outcome"] == "DONE"


def test_an_approval_counts_for_its_own_run_alone(contained: World, asked: Any) -> None:
    step = plan_release()
    asks(step)
    answered(step)
    asks(release_step(), run_id="release-2")
    assert "is for run release-1, this is release-2" in asked.call_args.kwargs["body"]
    assert contained.account.calls == []


def test_an_approval_that_has_ended_asks_again(contained: World, asked: Any) -> None:
    step = plan_release()
    asks(step)
    answered(step)
    known = approval_of(contained)
    contained.recorder.put(case_keys.RELEASE_APPROVAL, known.model_copy(update={"expires_at": known.at}))
    again = release_step()
    asks(again)
    assert approval_of(contained).needed == 1
    assert answered(again)["outcome"] == "DONE"


def test_a_release_after_the_target_was_contained_once_more_asks_again(contained: World, asked: Any) -> None:
    step = plan_release()
    asks(step)
    answered(step)
    contained.account.change(interfaces=(eni(0), *contained.account.target.interfaces[1:]))
    isolate()
    assert approval_of(contained).void == "the target was contained again"
    contained.account.calls.clear()
    asks(release_step())
    assert contained.account.calls == []


def test_an_order_that_does_not_say_by_whom_takes_two(contained: World, asked: Any) -> None:
    """A custom action's event has no principal; the run's user is whoever started the intake."""
    order = {"conf": {"case_id": CASE_ID, "ordered_by": "custom action ForensicRelease"}, "user": "operator"}
    step = plan_release()
    asks(step, **order)
    with pytest.raises(TaskAwaitingInput):
        answered(step, user="bob", conf=order["conf"])
    assert "1 other person has to approve it too" in approval_of(contained).reason
    granted = step.execute_complete(in_run("operator", conf=order["conf"]), answer(RELEASE, user="carol"))
    assert granted["approved_by"] == "bob and carol"


def test_a_question_that_another_run_has_taken_over_takes_no_answer(contained: World, asked: Any) -> None:
    first, second = plan_release(), plan_release()
    asks(first)
    asks(second, run_id="release-2")
    with pytest.raises(AirflowFailException, match=r"not the one on record any more .release-2 asks"):
        answered(first)
    assert answered(second, run_id="release-2")["approved_by"] == "bob"


def test_nobodys_answer_keeps_the_target_contained(contained: World, asked: Any) -> None:
    step = plan_release()
    asks(step)
    with pytest.raises(AirflowSkipException, match="stays contained: nobody answered in time"):
        answered(step, KEEP, user=None)
    assert not approval_of(contained).granted and not approval_of(contained).open


def test_a_release_that_only_its_asker_approved_ends_red(contained: World, asked: Any) -> None:
    step = plan_release()
    asks(step)
    with pytest.raises(TaskAwaitingInput):
        answered(step, user="alice")
    with pytest.raises(AirflowFailException, match="nobody else answered in time"):
        answered(step, KEEP, user=None)


def test_a_dry_run_shows_the_calls_and_asks_nobody(contained: World, asked: Any) -> None:
    with pytest.raises(AirflowSkipException, match=r"dry run: 1\. `iam\.delete_role_policy`"):
        plan_release(show_only="True").execute(in_run())
    assert asked.call_count == 0 and contained.account.calls == []


@pytest.mark.parametrize("change", ["other parameters", "another call"])
def test_a_target_that_changed_after_the_approval_is_asked_about_again(
    contained: World, asked: Any, change: str
) -> None:
    step = plan_release()
    asks(step)
    answered(step)
    known = contained.recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
    assert known is not None
    calls = tuple(c for c in known.calls if c.service != "iam")
    if change == "other parameters":
        calls = tuple(
            c.model_copy(update={"params": {**c.params, "RoleName": "another"}}) if c.service == "iam" else c
            for c in known.calls
        )
    contained.recorder.put(case_keys.RELEASE_PLAN, known.model_copy(update={"calls": calls}))
    again = release_step()
    asks(again)
    assert r"these calls are new: iam.delete\_role\_policy" in asked.call_args.kwargs["body"]
    assert contained.account.calls == []
    assert answered(again)["outcome"] == "DONE"


def test_a_refusal_in_the_releasing_step_keeps_the_target_contained(contained: World, asked: Any) -> None:
    again = release_step()
    asks(again)
    assert "nobody was asked yet" in asked.call_args.kwargs["body"] or "no plan" in asked.call_args.kwargs["body"]
    with pytest.raises(AirflowSkipException, match="stays contained: refused by bob"):
        answered(again, KEEP)
    assert contained.account.calls == []


def test_a_release_that_fails_says_what_to_do(contained: World, asked: Any) -> None:
    step = plan_release()
    asks(step)
    answered(step)
    contained.account.refused = {"exit_standby"}
    with pytest.raises(AirflowFailException, match="fix the cause and clear the task: it continues where it stopped"):
        release()
    contained.account.refused.clear()
    assert release()["outcome"] == "DONE"


def test_an_answer_to_a_plan_that_is_gone_is_an_error(airflow_side: World) -> None:
    with pytest.raises(AirflowFailException, match=r"release plan of case .* is gone"):
        answered(plan_release())


@dataclass
class Run:
    """What the templates read of a run."""

    triggering_user_name: str | None


@pytest.mark.parametrize(
    ("run", "requester"),
    [(Run("carol"), "carol"), (Run(None), "alice"), (object(), "alice")],
    ids=["by a person", "by a schedule", "of a version without the field"],
)
def test_the_runs_form_fills_the_arguments(run: object, requester: str) -> None:
    with DAG("release_arguments", schedule=None):
        step = PlanReleaseOperator(task_id="plan_release", case_id=CASE_ID)
    params = {"reason": "false {{ alarm }}", "requester": "alice", "dry_run": True}
    step.render_template_fields({"params": params, "dag_run": run})  # type: ignore[typeddict-item]
    assert (step.reason, step.requester, step.show_only) == ("false {{ alarm }}", requester, "True")


def test_fields_that_the_form_leaves_empty_are_empty() -> None:
    """Airflow's form sends null for an emptied optional field; Jinja would make "None" of it."""
    with DAG("release_arguments_empty", schedule=None):
        step = PlanReleaseOperator(task_id="plan_release", case_id=CASE_ID)
    params = {"reason": None, "requester": None, "dry_run": False}
    step.render_template_fields({"params": params, "dag_run": Run(None)})  # type: ignore[typeddict-item]
    assert (step.reason, step.requester) == ("", "")
