"""The containment plan: order, reasons, undo, approval."""

from __future__ import annotations

from datetime import timedelta

from forensics.containment.plan import plan_digest, unapproved_steps, with_requested_approval
from forensics.containment.policy import ContainmentPolicy
from forensics.models.containment import PlanStep, Stage
from forensics.models.plan import Measure
from tests.unit.builders import NOW
from tests.unit.containment.targets import eni, everything, planned


def test_what_preserves_comes_before_what_isolates_and_credentials_last() -> None:
    stages = [s.stage for s in planned(everything()).steps]
    assert stages == sorted(stages, key=list(Stage).index)
    assert set(stages) == set(Stage) - {Stage.CREDENTIALS_FIRST}
    assert (
        stages.index(Stage.STANDBY)
        < stages.index(Stage.ADDRESSES)
        < stages.index(Stage.OPEN)
        < stages.index(Stage.CLOSE)
    )


def test_every_step_says_why_and_what_undoes_it() -> None:
    own_rules = {Stage.RULES, Stage.CLEANUP}
    for step in planned(everything(), revoke_role=True).steps:
        assert step.reason
        assert step.undo or step.stage in own_rules, step.id


def test_the_same_target_gives_the_same_digest_and_another_one_does_not() -> None:
    plan = planned(everything())
    assert plan.digest == planned(everything()).digest
    assert plan.digest != planned(everything(spot=True)).digest
    later = everything().model_copy(update={"read_at": NOW + timedelta(hours=1)})
    assert plan.digest == planned(later).digest


def test_a_plan_with_a_new_step_is_beyond_what_was_approved() -> None:
    approved = planned(everything())
    less = approved.model_copy(update={"steps": approved.steps[3:]})
    assert unapproved_steps(less, approved=approved) == []
    more = planned(everything(interfaces=(*everything().interfaces, eni(2))))
    assert any("eni-2" in step for step in unapproved_steps(more, approved=approved))


def test_the_digest_is_over_the_step_as_it_is_stored() -> None:
    """Approvals of earlier releases name this digest: the stored form of a step must not change."""
    stored = {
        "id": "scaling.leave", "stage": "standby", "target": "web",
        "call": {"service": "autoscaling", "operation": "enter_standby", "params": {"InstanceIds": ["i-1"]}},
        "undo": [], "reason": "out of its group", "blast": ["a replacement starts"], "needs": [], "gives": None,
    }  # fmt: skip
    step = PlanStep.model_validate(stored)
    assert step.side_effects == ("a replacement starts",)
    assert step.model_dump(mode="json", by_alias=True) == stored
    assert plan_digest((step,)) == "43e779a523e47beed1c29ffdd72385a3e005c45077ca5034dfaa6c267c6846e0"


def test_a_dry_run_that_isolates_after_all_asks_for_the_approval_that_policy_wants() -> None:
    dry_run = planned(everything())
    wanted = with_requested_approval(dry_run, policy=ContainmentPolicy(approval=("production",)))
    assert (dry_run.approval, wanted.approval) == ((), ("production",))
    assert wanted.digest == dry_run.digest
    asked = planned(everything(), approval=("two findings",))
    assert with_requested_approval(asked, policy=ContainmentPolicy(approval=("production",))) is asked


def test_a_revocation_that_others_feel_needs_a_person() -> None:
    target = everything()
    assert target.profile is not None
    shared = target.model_copy(update={"profile": target.profile.model_copy(update={"shared_with": ("i-2",)})})
    assert planned(shared, revoke_role=True).approval == (
        "all sessions of role app would be revoked; it is used by i-2",
    )
    assert planned(shared).approval == planned(target, revoke_role=True).approval == ()


def test_a_playbook_may_want_the_credentials_dead_first() -> None:
    steps = planned(everything(), measures=(Measure.CREDENTIALS_FIRST,)).steps
    assert [s.id for s in steps[:3]] == ["credentials.metadata", "credentials.deny", "credentials.profile"]
