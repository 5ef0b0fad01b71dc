"""Contained targets that others change, on the lab: each way back is told once and, where the policy says so, closed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics import case_keys
from forensics.containment import drift_rules, drift_watch
from forensics.containment.drift_rules import Drift
from forensics.containment.drift_watch import DRIFTED
from forensics.containment.operators import ISOLATE
from forensics.containment.release_operators import RELEASE, ReleaseTargetOperator
from forensics.containment.watch_list import is_watched, watched_cases
from forensics.containment.watch_operators import STEP, LookAtContainedOperator
from forensics.models.case import CaseStatus, StepFailure
from forensics.models.containment import ContainmentResult
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Outcome
from forensics.settings import get_settings
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
    target,
    waits_for_a_person,
)
from tests.containment.world import LONG
from tests.gateways import case_store
from tests.integration.conftest import SmallLab

__all__ = ["approval_needed", "asked", "lab", "target"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long here for AWS to show a change."""
    monkeypatch.setattr(drift_watch, "SETTLING", timedelta())
    monkeypatch.setattr(drift_watch, "CONFIRMING_PAUSES", (0.1, 0.3))


@pytest.fixture
def closes(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The deployment closes drifts again."""
    monkeypatch.setenv("AIRFLOW__FORENSICS__DRIFT_RESPONSE", "close")
    get_settings.cache_clear()
    yield
    monkeypatch.undo()
    get_settings.cache_clear()


def look() -> dict[str, int]:
    return LookAtContainedOperator(task_id="look_at_contained").execute({})  # type: ignore[typeddict-item]


def mail(lab: SmallLab, case_id: str, prefix: str = "drift") -> list[str]:
    """Events of the messages about a case that begin so."""
    found = [m["attributes"]["event"] for m in lab.mail() if m["attributes"]["case_id"] == case_id]
    return [event for event in found if event.startswith(prefix)]


def what(case_id: str) -> list[str]:
    drift = recorder(case_id).get(case_keys.DRIFT, Drift)
    return [item.what for item in drift.items] if drift else []


def looks_until_nothing_is_open(case_id: str) -> None:
    """AWS may not show for some reads what was put back: what was told stays open until it is seen closed."""
    for _ in range(6):
        look()
        if not what(case_id):
            return


def isolated_by_retries(case_id: str) -> Any:
    """Isolate as Airflow does: EC2 may not show at first the profile that a release has just put back, and a retry sees it."""
    for _ in range(2):
        try:
            return isolate(case_id)
        except AirflowFailException as error:
            assert "instance profile web-server is still on the instance" in str(error)
    return isolate(case_id)


def interface(lab: SmallLab, instance: str) -> str:
    found = lab.client("ec2", "member").describe_network_interfaces(
        Filters=[{"Name": "attachment.instance-id", "Values": [instance]}]
    )
    return str(found["NetworkInterfaces"][0]["NetworkInterfaceId"])


def quarantine(case_id: str) -> str:
    result = recorder(case_id).get(case_keys.CONTAINMENT, ContainmentResult)
    assert result is not None and result.group_id
    return result.group_id


# ---------------------------------------------------------------------- the ways back
def other_group(lab: SmallLab, case_id: str, instance: str) -> str:
    group = lab.facts["member_network"]["web_security_group_id"]
    eni = interface(lab, instance)
    lab.client("ec2", "member").modify_network_interface_attribute(NetworkInterfaceId=eni, Groups=[group])
    return f"interface {eni} has {group}"


def rules(lab: SmallLab, case_id: str, instance: str) -> str:
    group = quarantine(case_id)
    lab.client("ec2", "member").authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}],
    )
    return f"quarantine group {group} has 1 rules"


def address(lab: SmallLab, case_id: str, instance: str) -> str:
    ec2 = lab.client("ec2", "member")
    made = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=made["AllocationId"], NetworkInterfaceId=interface(lab, instance))
    return f"Elastic IP {made['PublicIp']} is associated"


def new_interface(lab: SmallLab, case_id: str, instance: str) -> str:
    ec2, network = lab.client("ec2", "member"), lab.facts["member_network"]
    made = ec2.create_network_interface(SubnetId=network["subnet_ids"][0], Groups=[network["web_security_group_id"]])[
        "NetworkInterface"
    ]["NetworkInterfaceId"]
    ec2.attach_network_interface(NetworkInterfaceId=made, InstanceId=instance, DeviceIndex=1)
    return f"interface {made} is new and has"


def profile(lab: SmallLab, case_id: str, instance: str) -> str:
    ec2 = lab.client("ec2", "member")
    found = ec2.describe_iam_instance_profile_associations(
        Filters=[{"Name": "instance-id", "Values": [instance]}, {"Name": "state", "Values": ["associated"]}]
    )["IamInstanceProfileAssociations"]
    if found:
        ec2.disassociate_iam_instance_profile(AssociationId=found[0]["AssociationId"])
    ec2.associate_iam_instance_profile(InstanceId=instance, IamInstanceProfile={"Name": "web-server"})
    return "the instance has the profile web-server"


def deny_policy(lab: SmallLab, case_id: str, instance: str) -> str:
    iam = lab.client("iam", "member")
    (name,) = [n for n in iam.list_role_policies(RoleName="web-server")["PolicyNames"] if case_id in n]
    iam.delete_role_policy(RoleName="web-server", PolicyName=name)
    return "the policy that denies the instance's credentials is gone from role web-server"


def metadata(lab: SmallLab, case_id: str, instance: str) -> str:
    lab.client("ec2", "member").modify_instance_metadata_options(InstanceId=instance, HttpEndpoint="enabled")
    return "the metadata service is on again"


def protection(lab: SmallLab, case_id: str, instance: str) -> str:
    lab.client("ec2", "member").modify_instance_attribute(InstanceId=instance, DisableApiTermination={"Value": False})
    return f"{instance} lacks what containment set"


def tag(lab: SmallLab, case_id: str, instance: str) -> str:
    eni = interface(lab, instance)
    lab.client("ec2", "member").delete_tags(Resources=[eni], Tags=[{"Key": "forensics:contained"}])
    return f"the tag forensics:contained is missing on {eni}"


WAYS = [tag, other_group, rules, address, new_interface, profile, deny_policy, metadata, protection]
SHORT = {other_group, new_interface, deny_policy}


@pytest.fixture
def contained(lab: SmallLab, target: str) -> str:
    """A contained case, looked at once."""
    case_id = opened(lab, target)
    assert isolate(case_id)["outcome"] == "DONE"
    look()
    assert what(case_id) == [] and mail(lab, case_id) == []
    return case_id


@pytest.mark.parametrize(
    "way", [pytest.param(way, id=way.__name__, marks=() if way in SHORT else LONG) for way in WAYS]
)
def test_a_way_back_is_told_once_and_is_a_gap_until_it_is_closed(
    lab: SmallLab, target: str, contained: str, way: Callable[..., str]
) -> None:
    said = way(lab, contained, target)
    for _ in range(2):
        assert look()["drifted"] >= 1
    assert any(said in item for item in what(contained)) and len(what(contained)) == (2 if way is new_interface else 1)
    assert mail(lab, contained) == ["drift"]
    view = recorder(contained).view()
    assert [e.action for e in view.custody].count(CustodyAction.CONTAINMENT_DRIFTED) == 1
    assert [f.step for f in view.failures] == [DRIFTED]
    assert groups_of(lab, target) is not None and recorder(contained).view().containment is not None
    assert isolate(contained)["outcome"] == "DONE", "a person clears isolate_target"
    looks_until_nothing_is_open(contained)
    assert what(contained) == [] and recorder(contained).view().failures == ()
    assert len(mail(lab, contained)) == 1, "that it is over is no second alarm"
    recorder(contained).gateways.store.remove("fc-watchdog", f"CONTAINED#{contained}")


@pytest.mark.usefixtures("closes")
def test_all_at_once_is_one_message_and_is_closed_again_where_the_policy_says_so(
    lab: SmallLab, target: str, contained: str
) -> None:
    ways = [w for w in WAYS if w is not new_interface]
    for way in ways:
        way(lab, contained, target)
    look()
    assert mail(lab, contained) == ["drift", "drift_closed"]
    looks_until_nothing_is_open(contained)
    assert what(contained) == [] and groups_of(lab, target) == [[quarantine(contained)]]
    result = recorder(contained).view().containment
    assert result is not None and result.outcome is Outcome.DONE


@pytest.fixture
def approved(lab: SmallLab, target: str, asked: Any, approval_needed: None) -> str:
    """A case whose isolation bob has approved, carried out and looked at once."""
    case_id = opened(lab, target)
    step = plan_step(case_id)
    waits_for_a_person(step)
    with pytest.raises(AirflowSkipException, match="waits for a person"):
        isolate(case_id)
    assert step.execute_complete(context(step), answer(ISOLATE))["outcome"] == "DONE"
    look()
    assert what(case_id) == []
    return case_id


@pytest.mark.usefixtures("closes")
def test_an_approved_containment_is_restored_without_another_question_while_its_case_is_open(
    lab: SmallLab, target: str, approved: str, asked: Any
) -> None:
    questions = asked.call_count
    for way in (other_group, rules, metadata):
        way(lab, approved, target)
    look()
    assert mail(lab, approved) == ["drift", "drift_closed"] and asked.call_count == questions
    assert groups_of(lab, target) == [[quarantine(approved)]]
    (told,) = [
        m for m in lab.mail() if m["attributes"]["event"] == "drift_closed" and m["attributes"]["case_id"] == approved
    ]
    assert "approved by bob" in told["message"]
    contained = [e for e in recorder(approved).view().custody if e.action is CustodyAction.TARGET_CONTAINED]
    assert "restored_under" not in contained[0].detail and "approved by bob" in str(
        contained[-1].detail["restored_under"]
    )
    # the case ends, and with it what was approved
    looks_until_nothing_is_open(approved)
    case_store().update_case(approved, status=CaseStatus.CLOSED)
    other_group(lab, approved, target)
    look()
    assert mail(lab, approved) == ["drift", "drift_closed", "drift", "drift_open"]
    assert groups_of(lab, target) != [[quarantine(approved)]]


@pytest.mark.usefixtures("closes")
def test_what_the_approvers_did_not_see_is_asked(lab: SmallLab, target: str, approved: str) -> None:
    new_interface(lab, approved, target)
    look()
    assert mail(lab, approved) == ["drift", "drift_open"]
    (told,) = [
        m for m in lab.mail() if m["attributes"]["event"] == "drift_open" and m["attributes"]["case_id"] == approved
    ]
    assert "steps that nobody has approved" in told["message"]
    assert "clear containment.plan_containment" in told["message"]


@pytest.mark.usefixtures("closes")
def test_what_cannot_be_closed_is_tried_a_few_times_and_told_once(lab: SmallLab, target: str, contained: str) -> None:
    other_group(lab, contained, target)
    lab.control(
        "faults",
        [
            {
                "service": "ec2",
                "action": "ModifyNetworkInterfaceAttribute",
                "code": "UnauthorizedOperation",
                "status": 403,
            }
        ],
    )
    try:
        for _ in range(drift_rules.CLOSING_TRIES + 2):
            look()
    finally:
        lab.control("faults", [])
    assert mail(lab, contained) == ["drift", "drift_open"]
    drift = recorder(contained).get(case_keys.DRIFT, Drift)
    assert drift is not None and drift.tries == drift_rules.CLOSING_TRIES


def test_a_target_that_is_started_again_is_told(lab: SmallLab, target: str, contained: str) -> None:
    ec2 = lab.client("ec2", "member")
    ec2.modify_instance_attribute(InstanceId=target, DisableApiStop={"Value": False})
    ec2.stop_instances(InstanceIds=[target])
    ec2.modify_instance_attribute(InstanceId=target, DisableApiStop={"Value": True})
    look()
    assert what(contained) == [], "a stopped target is more closed than a running one"
    ec2.start_instances(InstanceIds=[target])
    look()
    assert what(contained) == ["the instance was started again: what ran on it runs again"]
    assert mail(lab, contained) == ["drift"]


@LONG
def test_a_target_that_is_terminated_is_told_and_looked_at_no_more(lab: SmallLab, target: str, contained: str) -> None:
    ec2 = lab.client("ec2", "member")
    for attribute in ("DisableApiTermination", "DisableApiStop"):
        ec2.modify_instance_attribute(InstanceId=target, **{attribute: {"Value": False}})
    ec2.terminate_instances(InstanceIds=[target])
    look()
    assert mail(lab, contained) == ["drift"]
    assert not is_watched(case_store(), contained)


def test_a_released_target_is_no_drift_and_one_contained_again_is_watched(
    lab: SmallLab, target: str, contained: str, asked: Any
) -> None:
    release = plan_release(contained, reason="false alarm", requester="alice")
    waits_for_a_person(release)
    release.execute_complete(context(release), answer(RELEASE))
    done = ReleaseTargetOperator(task_id="release_target")
    done.case_id = contained
    assert done.execute(context(done))["outcome"] == "DONE"
    look()
    assert mail(lab, contained) == [] and contained not in set(watched_cases(case_store()))
    assert isolated_by_retries(contained)["outcome"] == "DONE"
    other_group(lab, contained, target)
    look()
    assert len(mail(lab, contained)) == 1


def test_a_target_that_cannot_be_looked_at_is_told_once(lab: SmallLab, target: str, contained: str) -> None:
    lab.control(
        "faults", [{"service": "ec2", "action": "DescribeInstances", "code": "UnauthorizedOperation", "status": 403}]
    )
    try:
        for _ in range(2):
            assert look()["unseen"] >= 1
    finally:
        lab.control("faults", [])
    assert mail(lab, contained, "failed") == [f"failed:{STEP}"]
    failure = recorder(contained).get(f"{case_keys.FAILURE}{STEP}", StepFailure)
    assert failure is not None and "cannot be looked at" in failure.cause
    look()
    assert recorder(contained).get(f"{case_keys.FAILURE}{STEP}", StepFailure) is None


@LONG
def test_what_an_incomplete_containment_left_open_is_no_drift(lab: SmallLab, target: str) -> None:
    case_id = opened(lab, target)
    lab.control("faults", [{"service": "iam", "action": "PutRolePolicy", "code": "AccessDenied", "status": 403}])
    try:
        with pytest.raises(Exception, match="credentials of role web-server"):
            isolate(case_id)
    finally:
        lab.control("faults", [])
    look()
    assert what(case_id) == [] and mail(lab, case_id) == []
    other_group(lab, case_id, target)
    look()
    assert len(what(case_id)) == 1 and len(mail(lab, case_id)) == 1
