"""The two tasks of a release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics import case_keys
from forensics.containment.release_operators import KEEP, RELEASE, PlanReleaseOperator, ReleaseTargetOperator
from forensics.models.containment import Approval, ReleasePlan
from tests.unit.builders import CASE_ID
from tests.unit.containment.case_world import World
from tests.unit.containment.test_operators import answer, asked, isolate, run_context, waits_for_a_person

__all__ = ["asked"]


def plan_release(**arguments: Any) -> PlanReleaseOperator:
    """The planning task, its arguments as Airflow renders them."""
    given = {"reason": "false alarm", "requester": "alice", "show_only": "False", **arguments}
    return PlanReleaseOperator(task_id="plan_release", case_id=CASE_ID, **given)


def release() -> Any:
    """Run the releasing task."""
    return ReleaseTargetOperator(task_id="release_target", case_id=CASE_ID).execute(run_context())


@pytest.fixture
def contained(airflow_side: World) -> World:
    """A contained target."""
    isolate()
    airflow_side.account.calls.clear()
    airflow_side.phases.clear()
    return airflow_side


def test_a_release_takes_a_second_person(contained: World, asked: Any) -> None:
    step = plan_release()
    waits_for_a_person(step)
    detail = asked.call_args.kwargs
    assert detail["defaults"] == [KEEP] and "requested by alice: false alarm" in detail["body"]
    assert contained.phases == ["release"]
    with pytest.raises(AirflowSkipException, match="alice requested it and may not approve it"):
        step.execute_complete(run_context(), answer(RELEASE, user="alice"))
    with pytest.raises(AirflowFailException, match="there is no approval of this release"):
        release()
    waits_for_a_person(step)
    approved = step.execute_complete(run_context(), answer(RELEASE))
    assert approved["approved_by"] == "bob" and contained.account.calls == []
    done = release()
    assert done == {"outcome": "DONE", "calls": approved["calls"]}
    with pytest.raises(AirflowSkipException, match="nothing differs"):
        plan_release().execute(run_context())


def test_nobodys_answer_keeps_the_target_contained(contained: World, asked: Any) -> None:
    step = plan_release()
    waits_for_a_person(step)
    with pytest.raises(AirflowSkipException, match="stays contained: nobody answered in time"):
        step.execute_complete(run_context(), answer(KEEP, user=None))
    approval = contained.recorder.get(case_keys.RELEASE_APPROVAL, Approval)
    assert approval is not None and not approval.granted


def test_a_dry_run_shows_the_calls_and_asks_nobody(contained: World, asked: Any) -> None:
    with pytest.raises(AirflowSkipException, match=r"dry run: 1\. `iam\.delete_role_policy`"):
        plan_release(show_only="True").execute(run_context())
    assert asked.call_count == 0 and contained.account.calls == []


def test_a_target_that_changed_after_the_approval_is_refused(contained: World, asked: Any) -> None:
    step = plan_release()
    waits_for_a_person(step)
    step.execute_complete(run_context(), answer(RELEASE))
    known = contained.recorder.get(case_keys.RELEASE_PLAN, ReleasePlan)
    assert known is not None
    fewer = tuple(c for c in known.calls if c.service != "iam")
    contained.recorder.put(case_keys.RELEASE_PLAN, known.model_copy(update={"calls": fewer}))
    with pytest.raises(AirflowFailException, match=r"these calls are new: iam\.delete_role_policy: refused"):
        release()
    assert contained.account.calls == []


def test_a_release_that_fails_says_what_to_do(contained: World, asked: Any) -> None:
    step = plan_release()
    waits_for_a_person(step)
    step.execute_complete(run_context(), answer(RELEASE))
    contained.account.refused = {"exit_standby"}
    with pytest.raises(AirflowFailException, match="fix the cause and clear the task: it continues where it stopped"):
        release()
    contained.account.refused.clear()
    assert release()["outcome"] == "DONE"


def test_an_answer_to_a_plan_that_is_gone_is_an_error(airflow_side: World) -> None:
    with pytest.raises(AirflowFailException, match=r"release plan of case .* is gone"):
        plan_release().execute_complete(run_context(), answer(RELEASE))


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
