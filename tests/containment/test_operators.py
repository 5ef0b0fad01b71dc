"""The containment and release steps on the lab: plan, approval, deadline, isolation, release."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import create_autospec

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput, TaskDeferred

from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.case.notices import CaseNotices
from forensics.case.recorder import CaseRecorder
from forensics.case.waiting import Reminders
from forensics.containment.operators import ISOLATE, REFUSE, IsolateTargetOperator, PlanContainmentOperator
from forensics.containment.release_operators import KEEP, RELEASE, PlanReleaseOperator, ReleaseTargetOperator
from forensics.containment.triggers import ContainmentWatchTrigger
from forensics.intake.operators import OpenCaseOperator
from forensics.models.case import CaseStatus
from forensics.models.containment import ContainmentState, PreflightAnswer, RestorePoint
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.models.finding import Severity
from forensics.models.plan import Order
from forensics.settings import get_settings
from forensics.triage.operators import DescribeTargetOperator, ExtendPlanOperator, PlanResponseOperator
from tests.containment.world import LONG
from tests.gateways import case_store, recorder_of
from tests.integration.conftest import SmallLab, running_lab
from tests.integration.steps import DagRun, TaskInstance, perform
from tests.unit.builders import finding


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallLab]:
    """One seeded lab for all of these tests; each has a target of its own."""
    with pytest.MonkeyPatch.context() as patch, running_lab(tmp_path_factory.mktemp("lab"), patch) as made:
        made.control("config", {"instance_seconds": 0, "terminate_seconds": 0})
        for cap in ("ALL", "ACCOUNT", "GROUP"):
            patch.setenv(f"AIRFLOW__FORENSICS__ISOLATION_CAP_{cap}", "1000")
        get_settings.cache_clear()
        yield made


@pytest.fixture
def target(lab: SmallLab) -> str:
    """A running instance with the application's group and profile, not managed by SSM."""
    network = lab.facts["member_network"]
    answer = lab.client("ec2", "member").run_instances(
        ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1, SubnetId=network["subnet_ids"][0],
        SecurityGroupIds=[network["web_security_group_id"]], IamInstanceProfile={"Name": "web-server"},
    )  # fmt: skip
    return str(answer["Instances"][0]["InstanceId"])


class TaskInstanceWithId(TaskInstance):
    """A task instance as human-in-the-loop needs it."""

    id = "01234567-89ab-7def-8123-456789abcdef"


def context(operator: Any, *, user: str | None = "alice", run_id: str = "manual__test") -> dict[str, Any]:
    """What Airflow hands to an operator, in a run that alice has started."""
    ti = TaskInstanceWithId(operator.task_id)
    run = DagRun(run_id, triggering_user_name=user)
    return {"ti": ti, "task_instance": ti, "params": {}, "dag_run": run}


def opened(lab: SmallLab, target: str, **params: str) -> str:
    """A case after triage."""
    given = {"account_id": lab.facts["accounts"]["member"], "region": "eu-central-1", "instance_id": target}
    asked = {"actions": "by-policy", "reason": "test", "requester": "alice", **given, **params}
    step, run_id = OpenCaseOperator(task_id="open_case"), f"manual__{target}"
    case_id = str(perform(step, params=asked, run_id=run_id, user="alice"))
    perform(DescribeTargetOperator(task_id="describe_target"), case_id=case_id)
    perform(PlanResponseOperator(task_id="plan_response"), case_id=case_id)
    return case_id


def recorder(case_id: str) -> CaseRecorder:
    """The case's records."""
    return recorder_of(case_id, step="test")


def plan_step(case_id: str) -> PlanContainmentOperator:
    """The planning task of a case."""
    step = PlanContainmentOperator(task_id="containment.plan_containment")
    step.case_id = case_id
    return step


def plan_release(case_id: str, **arguments: str) -> PlanReleaseOperator:
    """The planning task of a release, its arguments as Airflow renders them."""
    given = {"reason": "", "requester": "", "show_only": "False", **arguments}
    return PlanReleaseOperator(task_id="plan_release", case_id=case_id, **given)


def deferred(step: Any) -> TaskDeferred:
    """Execute until it waits for AWS."""
    with pytest.raises(TaskDeferred) as caught:
        step.execute(context(step))
    return caught.value


def waits_for_a_person(step: Any) -> TaskAwaitingInput:
    """Execute until it has asked a person; no trigger and no triggerer take part in that."""
    with pytest.raises(TaskAwaitingInput) as caught:
        step.execute(context(step))
    return caught.value


def answer(option: str, *, user: str | None = "bob", name: str | None = None) -> dict[str, Any]:
    """A person's answer as Airflow hands it on: the user's id, and the name that they have now."""
    return {
        "chosen_options": [option], "params_input": {}, "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": user, "name": name or user} if user else None, "timedout": user is None,
    }  # fmt: skip


def release_step(case_id: str) -> ReleaseTargetOperator:
    """The releasing task of a case."""
    return ReleaseTargetOperator(task_id="release_target", case_id=case_id)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What would be written to Airflow's database: a running API server is needed for that, so here it is seen only."""
    seen = create_autospec(hitl.upsert_hitl_detail)
    monkeypatch.setattr(hitl, "upsert_hitl_detail", seen)
    return seen


@pytest.fixture
def approval_needed(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Caps of zero: policy wants a person's word for every isolation."""
    monkeypatch.setenv("AIRFLOW__FORENSICS__ISOLATION_CAP_ALL", "0")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


def isolate(case_id: str) -> Any:
    """Run the isolation."""
    return perform(IsolateTargetOperator(task_id="containment.isolate_target"), case_id=case_id)


def changes(lab: SmallLab) -> list[str]:
    """Mutating calls of the contain and release roles' account so far; 412 is EC2's answer to a DryRun."""
    calls = lab.control("calls")["calls"]
    services = {"ec2", "autoscaling", "elasticloadbalancing", "iam"}
    member = lab.facts["accounts"]["member"]
    mine = [c for c in calls if c["service"] in services and c["account"] == member and c["status"] != 412]
    return [c["action"] for c in mine if not c["action"].startswith(("Describe", "Get", "List", "Simulate"))]


def groups_of(lab: SmallLab, instance: str) -> list[list[str]]:
    """Security groups of the target's interfaces."""
    found = lab.client("ec2", "member").describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance]}]
    )
    return [[g["GroupId"] for g in e["Groups"]] for e in found["NetworkInterfaces"]]


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


def reminded(lab: SmallLab, *, after_minutes: float) -> list[str]:
    """The bodies of the reminders that the schedule sends when it runs so long from now."""
    hook = ForensicsHook()
    notices = CaseNotices(case_store(), Notifier.of(hook.own(), hook.settings))
    sent = len(lab.mail())
    _, failed = Reminders(notices, hook.settings).send(datetime.now(UTC) + timedelta(minutes=after_minutes))
    assert failed == []
    return [mail["message"] for mail in lab.mail()[sent:] if "Release" in mail["subject"]]


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
        waits_for_a_person(release)
        ends: list[str] = []

        def one(option: str, user: str, ends: list[str] = ends) -> None:
            step = plan_release(case_id)
            try:
                step.execute_complete(context(step), answer(option, user=user))
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
