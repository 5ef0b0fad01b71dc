"""The network is closed whatever IAM, KMS or EC2's own slowness do; what is open afterwards is said, and made up for.

What AWS does: IAM has one endpoint Region for a whole partition, and a VPC endpoint for it exists there only (IAM user guide,
"Create a VPC endpoint for IAM"), so that a VPC may have no way to it. A security group that was just made may be answered as
``InvalidGroup.NotFound`` (EC2 developer guide, "Eventual consistency in the Amazon EC2 API"; hashicorp/packer#1322 and #6843).
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from botocore.exceptions import ConnectTimeoutError

from forensics.aws import session as aws_session
from forensics.containment.operators import IsolateTargetOperator, PlanContainmentOperator
from forensics.containment.release_operators import PlanReleaseOperator
from forensics.containment.restore_points import RestorePoints
from forensics.errors import ForensicsError
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import Outcome
from tests.containment.drive import Driver, verify_contained
from tests.containment.steps import (
    context,
    groups_of,
    isolate,
    lab,
    opened,
    plan_step,
    recorder,
    target,
)
from tests.containment.world import LONG, Cell, Recorder, World
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform

__all__ = ["lab", "target"]
FIRST_TRY = 1
TARGET = Cell(interfaces=2, v6=True, address=True, group=False, role="own", running=True)


@contextmanager
def no_way_to_iam(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Every new session has IAM at an address where nobody listens; yields the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_IAM", address)
        aws_session.forget()
        yield address
    aws_session.forget()


def result_of(case_id: str) -> ContainmentResult:
    """What is on record."""
    found = recorder(case_id).view().containment
    assert found is not None
    return found


def calls_of(lab: SmallLab) -> list[str]:
    """The calls to the member's account since the last look, in order: IAM's as ``iam``."""
    member = lab.facts["accounts"]["member"]
    made = [c for c in lab.control("calls")["calls"] if c["account"] == member]
    return ["iam" if c["service"] == "iam" else str(c["action"]) for c in made]


# ---------------------------------------------------------------------- IAM
def test_no_question_goes_to_iam_before_the_network_is_closed(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    before = len(calls_of(lab))
    assert isolate(case_id)["outcome"] == "DONE"
    made = calls_of(lab)[before:]
    closed = max(n for n, action in enumerate(made) if action == "ModifyNetworkInterfaceAttribute")
    assert "iam" in made and made.index("iam") > closed


def test_without_a_way_to_iam_the_first_try_isolates_and_says_whose_credentials_are_valid(
    lab: SmallLab, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = opened(lab, target)
    with no_way_to_iam(monkeypatch) as address, pytest.raises(AirflowFailException) as caught:
        isolate(case_id)
    result = result_of(case_id)
    assert (result.outcome, result.state) == (Outcome.PARTIAL, ContainmentState.NEW_FLOWS_BLOCKED)
    assert groups_of(lab, target) == [[result.group_id]]
    associations = lab.client("ec2", "member").describe_iam_instance_profile_associations(
        Filters=[{"Name": "instance-id", "Values": [target]}, {"Name": "state", "Values": ["associated"]}]
    )["IamInstanceProfileAssociations"]
    assert associations == [], "EC2 takes the profile off without IAM"
    (line,) = result.credentials_open
    assert "credentials of the role of web-server" in line and address in line, "whose, and which path is missing"
    said = str(caught.value)
    assert "network closed" in said and "end the credentials that are named" in said
    assert "isolate the instance manually" not in said
    mail = next(
        m for m in lab.mail() if case_id == m["attributes"]["case_id"] and "credentials still valid" in m["subject"]
    )
    assert "isolate the instance manually" not in str(mail)


@LONG
def test_the_retry_denies_the_role_when_iam_answers_again(
    lab: SmallLab, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = opened(lab, target)
    with no_way_to_iam(monkeypatch), pytest.raises(AirflowException):
        isolate(case_id)
    assert isolate(case_id)["outcome"] == "DONE"
    policies = lab.client("iam", "member").list_role_policies(RoleName="web-server")["PolicyNames"]
    assert f"forensics-deny-{case_id}" in policies
    assert recorder(case_id).view().failures == ()


@LONG
def test_planning_without_iam_plans_what_is_left_and_asks_a_person(
    lab: SmallLab, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = opened(lab, target)
    with no_way_to_iam(monkeypatch), pytest.raises(TaskDeferred):
        plan_step(case_id).execute(context(plan_step(case_id)))
    plan = recorder(case_id).view().containment_plan
    assert plan is not None
    names = {s.id: s.call.operation for s in plan.steps}
    assert names["credentials.profile"] == "disassociate_iam_instance_profile"
    assert names["credentials.deny"] == "put_role_policy"
    assert any("IAM has not said which role" in residual for residual in plan.residuals)


def test_time_outs_of_iam_cost_no_time_before_the_network_is_closed(world: World) -> None:
    """IAM answers nothing at all: the order of calls counts, not the clock."""
    made = world.make(TARGET)
    before = world.everything(made)
    seen = Recorder()
    gateway = world.gateway(seen)

    def dropped(**_: Any) -> None:
        raise ConnectTimeoutError(endpoint_url="https://iam.amazonaws.com")

    gateway.clients["iam"].meta.events.register("before-send", dropped)
    facts = gateway.facts.network(made.instance_id, case_id="fc-20261124-0123456789", token="0" * 12)
    assert facts.profile is not None and facts.profile.association_id and facts.unknown == ()
    assert [name for service, name, _ in seen.calls if service == "iam"] == []
    driver = Driver.start(gateway, made.instance_id)
    assert driver.original.iam_unknown and driver.original.unknown == ()
    driver.contain()
    open_ = verify_contained(world, made, before=before)
    assert open_ == ["credentials of the role are alive"]


# ---------------------------------------------------------------------- seal and deadline
def test_a_kms_outage_leaves_no_target_open_and_the_seal_follows(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    lab.control("faults", [{"service": "kms", "action": "Sign", "code": "DisabledException", "status": 400}])
    try:
        with pytest.raises(AirflowFailException, match="the restore point is not sealed") as caught:
            isolate(case_id)
    finally:
        lab.control("faults", [])
    result = result_of(case_id)
    assert result.network_closed and groups_of(lab, target) == [[result.group_id]]
    assert "leave the target as it is, it is isolated" in str(caught.value)
    release = PlanReleaseOperator(
        task_id="plan_release", case_id=case_id, reason="", requester="alice", show_only="False"
    )
    with pytest.raises(AirflowFailException, match="not sealed, nothing is released"):
        release.execute(context(release))
    assert isolate(case_id)["outcome"] == "DONE"
    assert [f.step for f in recorder(case_id).view().failures if f.step.startswith("containment.")] == []
    assert RestorePoints(recorder(case_id)).verified().instance_id == target, "now there is something to release to"


def test_the_watch_goes_on_after_a_failed_isolation_until_it_succeeds(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    step = plan_step(case_id)
    with pytest.raises(TaskDeferred) as caught:
        step.execute(context(step))
    fault = {"service": "ec2", "action": "CreateSecurityGroup", "code": "OperationNotPermitted", "status": 400}
    lab.control("faults", [fault])
    try:
        with pytest.raises(AirflowFailException):
            isolate(case_id)
        assert result_of(case_id).state is ContainmentState.FAILED
        assert caught.value.trigger.check() is None, "the watch does not end"
        event = {"ok": False, "due": True, "cause": "isolation is PARTIAL"}
        with pytest.raises(TaskDeferred) as again:
            step.resume_after_wait(context(step), event)
        assert again.value.trigger.due > datetime.now(UTC).timestamp()
    finally:
        lab.control("faults", [])
    assert step.resume_after_wait(context(step), event)["outcome"] == "DONE"
    assert isinstance(step, PlanContainmentOperator)
    assert recorder(case_id).view().failures == (), "the failure of the case's own step is made good"


# ---------------------------------------------------------------------- new groups
@pytest.mark.parametrize(
    "action",
    [
        "RevokeSecurityGroupEgress",
        pytest.param("AuthorizeSecurityGroupEgress", marks=LONG),
        pytest.param("AuthorizeSecurityGroupIngress", marks=LONG),
        pytest.param("ModifyNetworkInterfaceAttribute", marks=LONG),
    ],
)
def test_a_new_group_that_ec2_does_not_know_yet_costs_no_try(lab: SmallLab, target: str, action: str) -> None:
    case_id = opened(lab, target)
    unknown = {
        "service": "ec2", "action": action, "match": "GroupId|SecurityGroupId", "code": "InvalidGroup.NotFound",
        "status": 400, "times": 3, "message": "The security group 'sg-0example' does not exist",
    }  # fmt: skip
    lab.control("faults", [unknown])
    try:
        step = IsolateTargetOperator(task_id="containment.isolate_target")
        done = perform(step, case_id=case_id, try_number=FIRST_TRY)
    except ForensicsError as error:
        pytest.fail(f"the first try did not isolate: {error}")
    finally:
        lab.control("faults", [])
    assert done["outcome"] == "DONE" and groups_of(lab, target) == [[done["group_id"]]]
