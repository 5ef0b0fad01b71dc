"""The containment and release steps on the lab: plan, approval, deadline, isolation, release."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput, TaskDeferred

from forensics.containment.operators import ISOLATE
from forensics.containment.release_operators import KEEP, RELEASE, ReleaseTargetOperator
from forensics.containment.triggers import ContainmentWatchTrigger
from forensics.models.case import CaseStatus
from forensics.models.containment import ContainmentState, PreflightAnswer, RestorePoint
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.plan import Order
from forensics.settings import get_settings
from tests.containment.steps import (
    answer,
    approval_needed,
    asked,
    changes,
    context,
    deferred,
    groups_of,
    isolate,
    lab,
    opened,
    plan_release,
    plan_step,
    recorder,
    reminded,
    target,
    waits_for_a_person,
)
from tests.containment.world import LONG
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform

__all__ = ["approval_needed", "asked", "lab", "target"]


def test_plan_isolate_and_release_with_two_persons(lab: SmallLab, target: str, asked: Any) -> None:
    case_id = opened(lab, target)
    before = groups_of(lab, target)
    seeded = len(changes(lab))
    wait = deferred(plan_step(case_id))
    assert isinstance(wait.trigger, ContainmentWatchTrigger)
    assert changes(lab)[seeded:] == [], "planning changes nothing"
    plan = recorder(case_id).view().containment_plan
    assert plan is not None and plan.steps and plan.approval == ()
    assert wait.trigger.check() is None

    result = isolate(case_id)
    assert result["state"] == "NEW_FLOWS_BLOCKED" and groups_of(lab, target) == [[result["group_id"]]]
    ended = wait.trigger.check()
    assert ended is not None and ended.ok
    view = recorder(case_id).view()
    assert view.containment is not None and view.containment.outcome is Outcome.DONE
    actions = [e.action for e in view.custody]
    assert actions.index(CustodyAction.RESTORE_POINT_TAKEN) < actions.index(CustodyAction.TARGET_CONTAINED)

    release = plan_release(case_id, reason="false alarm", requester="alice")
    waits_for_a_person(release)
    assert asked.call_count == 1 and "Release" in asked.call_args.kwargs["subject"]
    with pytest.raises(TaskAwaitingInput):
        release.execute_complete(context(release), answer(RELEASE, user="alice", name="Alice L."))
    with pytest.raises(AirflowFailException, match="open in plan_release"):
        perform(ReleaseTargetOperator(task_id="release_target"), case_id=case_id)
    assert groups_of(lab, target) == [[result["group_id"]]]

    release.execute_complete(context(release), answer(RELEASE))
    done = perform(ReleaseTargetOperator(task_id="release_target"), case_id=case_id)
    assert done["outcome"] == "DONE" and groups_of(lab, target) == before
    with pytest.raises(AirflowSkipException, match="nothing differs"):
        release.execute(context(release))
    assert CustodyAction.TARGET_RELEASED in [e.action for e in recorder(case_id).view().custody]


@LONG
def test_a_release_that_nobody_approves_changes_nothing(lab: SmallLab, target: str, asked: Any) -> None:
    case_id = opened(lab, target)
    isolate(case_id)
    contained = groups_of(lab, target)
    release = plan_release(case_id)
    only_shown = plan_release(case_id, show_only="True")
    with pytest.raises(AirflowSkipException, match="dry run"):
        only_shown.execute(context(only_shown))
    waits_for_a_person(release)
    assert reminded(lab, after_minutes=19) == []
    assert [case_id in said for said in reminded(lab, after_minutes=21)] == [True]
    assert reminded(lab, after_minutes=22) == [], "not more often than reminder_minutes"
    with pytest.raises(AirflowSkipException, match="nobody answered"):
        release.execute_complete(context(release), answer(KEEP, user=None))
    assert groups_of(lab, target) == contained
    assert reminded(lab, after_minutes=45) == []


@LONG
def test_a_restore_point_that_was_changed_is_refused(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    isolate(case_id)
    contained = groups_of(lab, target)
    store = recorder(case_id).gateways.store
    point = store.get(case_id, "RESTORE#original", RestorePoint)
    assert point is not None and point.facts is not None
    store.put(
        case_id,
        "RESTORE#original",
        point.model_copy(update={"facts": point.facts.model_copy(update={"stop_protected": True})}),
    )
    release = plan_release(case_id)
    with pytest.raises(AirflowFailException, match="not the one in the custody ledger"):
        release.execute(context(release))
    assert groups_of(lab, target) == contained


@LONG
def test_the_deadline_isolates_while_the_capture_still_runs(
    lab: SmallLab, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = opened(lab, target)
    step = plan_step(case_id)
    wait = deferred(step)
    wait.trigger.due = (datetime.now(UTC) - timedelta(seconds=1)).timestamp()
    event = wait.trigger.check()
    assert event is not None and not event.ok and event.payload["due"]
    result = step.resume_after_wait(context(step), {"ok": False, **event.payload})
    assert result["outcome"] == "DONE" and groups_of(lab, target) == [[result["group_id"]]]
    assert any("the memory capture still runs" in t.what for t in recorder(case_id).view().timeline)
    assert isolate(case_id)["group_id"] == result["group_id"], "the step after the capture finds it done"


@LONG
def test_a_closed_case_is_not_watched_for_ever(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    wait = deferred(plan_step(case_id))
    recorder(case_id).gateways.store.update_case(case_id, status=CaseStatus.FAILED)
    ended = wait.trigger.check()
    assert ended is not None and ended.ok


@LONG
def test_no_isolation_wanted_is_a_dry_run(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target, actions="memory+disk")
    seeded = len(changes(lab))
    assert plan_step(case_id).execute(context(plan_step(case_id)))["carried_out"] is False
    assert changes(lab)[seeded:] == []
    plan = recorder(case_id).view().containment_plan
    assert plan is not None and plan.steps


def test_a_call_that_would_be_refused_is_announced_before_anybody_is_asked(
    lab: SmallLab, target: str, asked: Any, approval_needed: None
) -> None:
    case_id = opened(lab, target)
    seeded = len(changes(lab))
    rule = {"service": "ec2", "action": "ModifyInstanceMetadataOptions", "match": "DryRun=true"}
    lab.control("faults", [{**rule, "code": "UnauthorizedOperation", "status": 403}])
    try:
        waits_for_a_person(plan_step(case_id))
    finally:
        lab.control("faults", [])
    answers = recorder(case_id).view().plan_preflight
    assert answers is not None and [s.name for s in answers.of(PreflightAnswer.REFUSED)] == ["credentials.metadata"]
    assert len(answers.of(PreflightAnswer.ALLOWED)) >= 3
    assert [c for c in changes(lab)[seeded:] if c != "ModifyInstanceMetadataOptions"] == []
    assert "1 would be refused" in asked.call_args.kwargs["body"]
    assert "refused: credentials.metadata" in asked.call_args.kwargs["body"]
    assert any(case_id == m["attributes"]["case_id"] and "would fail: 1 of" in m["subject"] for m in lab.mail())


@LONG
def test_a_target_that_ends_before_isolation_is_said(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    lab.client("ec2", "member").terminate_instances(InstanceIds=[target])
    with pytest.raises(AirflowSkipException, match="ended before it could be isolated"):
        isolate(case_id)
    result = recorder(case_id).view().containment
    assert result is not None and result.outcome is Outcome.NOT_APPLICABLE
    assert any(case_id == m["attributes"]["case_id"] and "ended before isolation" in m["subject"] for m in lab.mail())


def test_a_failed_call_is_partial_announced_and_completed_by_the_retry(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    lab.control("faults", [{"service": "iam", "action": "PutRolePolicy", "code": "AccessDenied", "status": 403}])
    try:
        with pytest.raises(AirflowFailException, match="credentials of role web-server that the instance"):
            isolate(case_id)
    finally:
        lab.control("faults", [])
    view = recorder(case_id).view()
    assert view.containment is not None
    assert (view.containment.outcome, view.containment.state) == (Outcome.PARTIAL, ContainmentState.NEW_FLOWS_BLOCKED)
    assert any(case_id == m["attributes"]["case_id"] and "PARTIAL" in m["subject"] for m in lab.mail())
    assert groups_of(lab, target) == [[view.containment.group_id]], "what was done stays"
    assert isolate(case_id)["outcome"] == "DONE"
    assert recorder(case_id).view().failures == ()
    assert get_settings().containment_profile


def contain_first(case_id: str) -> None:
    """Make the response plan ask for containment before acquisition."""
    store, plan = recorder(case_id).gateways.store, recorder(case_id).plan()
    assert plan is not None
    store.put(case_id, "PLAN", plan.model_copy(update={"order": Order.CONTAIN_FIRST}))


@LONG
def test_contain_first_without_endpoints_acquires_first_and_says_so(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    contain_first(case_id)
    before = groups_of(lab, target)
    deferred(plan_step(case_id))
    assert groups_of(lab, target) == before
    assert any(
        "no VPC endpoint" in t.what and "acquisition goes first" in t.what for t in recorder(case_id).view().timeline
    )
    assert isolate(case_id)["outcome"] == "DONE"


@LONG
def test_contain_first_leaves_only_the_endpoints_until_acquisition_has_ended(lab: SmallLab, target: str) -> None:
    member, network = lab.client("ec2", "member"), lab.facts["member_network"]
    group = member.create_security_group(GroupName=f"endpoints-{target}", Description="x", VpcId=network["vpc_id"])[
        "GroupId"
    ]
    made = [
        member.create_vpc_endpoint(
            VpcEndpointType="Interface", VpcId=network["vpc_id"], ServiceName=f"com.amazonaws.eu-central-1.{service}",
            SecurityGroupIds=[group], SubnetIds=network["subnet_ids"][:1],
        )["VpcEndpoint"]["VpcEndpointId"]
        for service in ("ssm", "ssmmessages", "s3")
    ]  # fmt: skip
    try:
        case_id = opened(lab, target)
        contain_first(case_id)
        deferred(plan_step(case_id))
        ((access,),) = groups_of(lab, target)
        rules = member.describe_security_groups(GroupIds=[access])["SecurityGroups"][0]
        assert rules["IpPermissions"] == []
        (rule,) = rules["IpPermissionsEgress"]
        assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", 443, 443)
        assert [p["GroupId"] for p in rule["UserIdGroupPairs"]] == [group] and rule["IpRanges"] == []
        result = isolate(case_id)
        assert result["outcome"] == "DONE" and groups_of(lab, target) == [[result["group_id"]]] != [[access]]
        again = plan_step(case_id)
        deferred(again)
        assert groups_of(lab, target) == [[result["group_id"]]], "a cleared planning task does not open it again"
    finally:
        member.delete_vpc_endpoints(VpcEndpointIds=made)


@LONG
def test_a_group_that_somebody_changed_is_replaced_and_told(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    first = isolate(case_id)["group_id"]
    ssh = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    lab.client("ec2", "member").authorize_security_group_ingress(GroupId=first, IpPermissions=ssh)
    again = isolate(case_id)
    assert again["outcome"] == "DONE" and again["group_id"] != first
    assert groups_of(lab, target) == [[again["group_id"]]]
    assert any(case_id == m["attributes"]["case_id"] and "ALERT" in m["subject"] for m in lab.mail())


@LONG
def test_after_approval_a_failed_try_is_completed_by_the_retry_of_the_same_task(
    lab: SmallLab, target: str, asked: Any, approval_needed: None
) -> None:
    case_id = opened(lab, target)
    step = plan_step(case_id)
    waits_for_a_person(step)
    with pytest.raises(AirflowSkipException, match="waits for a person"):
        isolate(case_id)
    lab.control(
        "faults", [{"service": "ec2", "action": "DisassociateIamInstanceProfile|ReplaceIam.*", "code": "AuthFailure"}]
    )
    try:
        with pytest.raises(TaskDeferred):
            step.execute_complete(context(step), answer(ISOLATE))
    finally:
        lab.control("faults", [])
    contained = groups_of(lab, target)
    again = {"ok": False, "due": True, "cause": "isolation is PARTIAL"}
    assert step.resume_after_wait(context(step), again)["outcome"] == "DONE", "under the same approval"
    assert groups_of(lab, target) == contained, "what was done before the failure stayed"
    assert recorder(case_id).view().failures == ()
