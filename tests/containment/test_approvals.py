"""Approvals of isolation and release as tasks ask for them: who counts, once, for one plan."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput, TaskDeferred

from forensics.containment.operators import ISOLATE, REFUSE
from forensics.containment.release_operators import KEEP, RELEASE
from forensics.models.containment import ContainmentState
from forensics.models.custody import CustodyAction
from forensics.models.finding import Severity
from forensics.settings import get_settings
from forensics.triage.operators import ExtendPlanOperator
from tests.containment.steps import (
    answer,
    approval_needed,
    asked,
    context,
    groups_of,
    isolate,
    lab,
    opened,
    plan_release,
    plan_step,
    recorder,
    release_step,
    target,
    waits_for_a_person,
)
from tests.containment.world import LONG
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.unit.builders import finding

__all__ = ["approval_needed", "asked", "lab", "target"]


def test_approval_isolation_waits_and_acquisition_does_not(
    lab: SmallLab, target: str, asked: Any, approval_needed: None
) -> None:
    case_id = opened(lab, target)
    before = groups_of(lab, target)
    step = plan_step(case_id)
    waits_for_a_person(step)
    assert "isolation" in asked.call_args.kwargs["body"]
    with pytest.raises(AirflowSkipException, match="waits for a person"):
        isolate(case_id)
    assert groups_of(lab, target) == before, "not before the answer"
    result = step.execute_complete(context(step), answer(ISOLATE))
    assert result["outcome"] == "DONE" and groups_of(lab, target) == [[result["group_id"]]]
    approval = recorder(case_id).view().approval
    assert (
        approval is not None
        and approval.by == "bob"
        and CustodyAction.CONTAINMENT_APPROVED in {e.action for e in recorder(case_id).view().custody}
    )


def test_contained_again_an_old_release_asks_again(lab: SmallLab, target: str, asked: Any) -> None:
    """Contain, release, contain, and clear the step of the old release: the approval was used and counts once."""
    case_id = opened(lab, target)
    isolate(case_id)
    release = plan_release(case_id, reason="false alarm", requester="alice")
    waits_for_a_person(release)
    release.execute_complete(context(release), answer(RELEASE))
    perform(release_step(case_id), case_id=case_id)
    isolate(case_id)
    contained = groups_of(lab, target)
    again = release_step(case_id)
    before = asked.call_count
    waits_for_a_person(again)
    assert asked.call_count == before + 1 and groups_of(lab, target) == contained
    with pytest.raises(TaskAwaitingInput):
        again.execute_complete(context(again), answer(RELEASE, user="7", name="bob"))
    assert groups_of(lab, target) == contained, "who cleared the step is not known: two have to approve"
    assert again.execute_complete(context(again), answer(RELEASE, user="8", name="carol"))["outcome"] == "DONE"
    approvals = [e for e in recorder(case_id).view().custody if e.action is CustodyAction.RELEASE_APPROVED]
    releases = [e for e in recorder(case_id).view().custody if e.action is CustodyAction.TARGET_RELEASED]
    assert len(approvals) == len(releases) == 2


@LONG
def test_of_two_answers_at_the_same_moment_one_counts(lab: SmallLab, target: str, asked: Any) -> None:
    """On DynamoDB's conditional writes: a yes and a no, many times, and always one decision in store and ledger."""
    case_id = opened(lab, target)
    isolate(case_id)
    release = plan_release(case_id, reason="false alarm", requester="alice")
    for number in range(5):
        # each in a run of its own: one that was granted is not asked about again
        run_id = f"manual__{number}"
        with pytest.raises(TaskAwaitingInput):
            release.execute(context(release, run_id=run_id))
        ends: list[str] = []

        def one(option: str, user: str, ends: list[str] = ends, run_id: str = run_id) -> None:
            step = plan_release(case_id)
            try:
                step.execute_complete(context(step, run_id=run_id), answer(option, user=user))
                ends.append("approved")
            except AirflowSkipException:
                ends.append("refused")

        threads = [threading.Thread(target=one, args=given) for given in ((RELEASE, "bob"), (KEEP, "carol"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ends in (["approved"] * 2, ["refused"] * 2), "both see the one decision"
        events = [e.action for e in recorder(case_id).view().custody]
        decided = [a for a in events if a in {CustodyAction.RELEASE_APPROVED, CustodyAction.RELEASE_REFUSED}]
        assert len(decided) == number + 1


@LONG
def test_the_asker_of_an_isolation_never_ends_it_green(
    lab: SmallLab, target: str, asked: Any, approval_needed: None
) -> None:
    case_id = opened(lab, target)
    before = groups_of(lab, target)
    step = plan_step(case_id)
    with pytest.raises(TaskAwaitingInput):
        step.execute(context(step, user=None))
    with pytest.raises(TaskAwaitingInput):
        step.execute_complete(context(step, user=None), answer(ISOLATE, user="alice", name="Alice L."))
    with pytest.raises(AirflowFailException, match="nobody else answered in time"):
        step.execute_complete(context(step, user=None), answer(REFUSE, user=None))
    assert groups_of(lab, target) == before
    assert any(f.step == "containment.plan_containment" for f in recorder(case_id).view().failures)


@LONG
@pytest.mark.parametrize(("option", "user"), [(REFUSE, "bob"), (REFUSE, None)])
def test_approval_that_is_refused_leaves_the_target_and_says_so(
    lab: SmallLab, target: str, asked: Any, approval_needed: None, option: str, user: str | None
) -> None:
    case_id = opened(lab, target)
    before = groups_of(lab, target)
    step = plan_step(case_id)
    waits_for_a_person(step)
    assert step.execute_complete(context(step), answer(option, user=user))["approved"] is False
    with pytest.raises(AirflowSkipException, match="not approved"):
        isolate(case_id)
    assert groups_of(lab, target) == before
    result = recorder(case_id).view().containment
    assert result is not None and result.state is ContainmentState.NOT_CONTAINED and result.reason


def test_approval_is_asked_for_an_isolation_that_a_later_finding_brought(
    lab: SmallLab, target: str, asked: Any, approval_needed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__FORENSICS__VERIFY_FINDINGS", "False")
    get_settings.cache_clear()
    case_id = opened(lab, target, actions="disk")
    step = plan_step(case_id)
    assert step.execute(context(step))["carried_out"] is False
    recorder(case_id).gateways.store.add_finding(case_id, finding(instance_id=target, severity=Severity.CRITICAL))
    with pytest.raises(AirflowSkipException, match="extended by isolate"):
        perform(ExtendPlanOperator(task_id="extend_plan"), case_id=case_id)
    before = groups_of(lab, target)
    with pytest.raises(AirflowSkipException, match="waits for a person"):
        isolate(case_id)
    assert groups_of(lab, target) == before
    again = plan_step(case_id)
    waits_for_a_person(again)
    assert "cap of 0 isolations" in asked.call_args.kwargs["body"]
    assert again.execute_complete(context(again), answer(ISOLATE))["outcome"] == "DONE"


@LONG
def test_approval_does_not_cover_a_plan_that_changed(
    lab: SmallLab, target: str, asked: Any, approval_needed: None
) -> None:
    case_id = opened(lab, target)
    step = plan_step(case_id)
    waits_for_a_person(step)
    with pytest.raises(TaskDeferred):
        step.execute_complete(context(step), answer(ISOLATE))
    member = lab.client("ec2", "member")
    interface = member.describe_network_interfaces(Filters=[{"Name": "attachment.instance-id", "Values": [target]}])
    allocation = member.allocate_address(Domain="vpc")["AllocationId"]
    member.associate_address(
        AllocationId=allocation, NetworkInterfaceId=interface["NetworkInterfaces"][0]["NetworkInterfaceId"]
    )
    before = groups_of(lab, target)
    with pytest.raises(AirflowSkipException, match="the plan changed after approval"):
        isolate(case_id)
    assert groups_of(lab, target) == before
    with pytest.raises(TaskAwaitingInput):
        step.resume_after_wait(context(step), {"ok": False, "due": True, "cause": "isolation is PENDING"})
    assert "address" in asked.call_args.kwargs["body"]
    assert step.execute_complete(context(step), answer(ISOLATE))["outcome"] == "DONE"
