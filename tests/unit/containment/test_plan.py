"""The containment plan: order, reasons, undo, side effects; what it leaves out and why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forensics.containment.plan import ContainmentPolicy, beyond, make_plan
from forensics.containment.plan_text import plan_lines
from forensics.containment.quarantine_groups import access_missing, access_rules
from forensics.containment.release_plan import differences, release_calls
from forensics.models.containment import ContainmentPlan, Stage
from forensics.models.target_facts import (
    AddressFacts,
    EndpointFacts,
    InstanceFacts,
    MembershipFacts,
    MetadataFacts,
    ProfileFacts,
    ScalingFacts,
    VolumeFacts,
)
from tests.unit.builders import CASE_ID, NOW
from tests.unit.containment.test_containment_state import eni, facts

GROUP = "arn:aws:elasticloadbalancing:eu-central-1:333344445555:targetgroup/web/1"


def everything(**changes: Any) -> InstanceFacts:
    """A target that has everything that containment changes."""
    address = AddressFacts(
        allocation_id="eipalloc-1", association_id="eipassoc-1", public_ip="198.51.100.7", private_ip="10.0.0.4"
    )
    values: dict[str, Any] = {
        "interfaces": (eni(0, addresses=(address,), delete_on_termination=True), eni(1)),
        "volumes": (VolumeFacts(device="/dev/xvda", volume_id="vol-1", delete_on_termination=True),),
        "metadata": MetadataFacts(endpoint="enabled", tokens="optional"),
        "profile": ProfileFacts(association_id="iip-1", name="app", arn="arn", role="app"),
        "scaling": ScalingFacts(group="web", lifecycle="InService", protected=False, desired=1, minimum=1, maximum=2),
        "memberships": (MembershipFacts(kind="elbv2", balancer=GROUP, target_id="i-0123456789abcdef0", port=80),),
        "auto_recovery": "default",
        "deny_profile_exists": True,
    }
    return facts(**{**values, **changes})


def planned(target: InstanceFacts, *, original: InstanceFacts | None = None, **policy: Any) -> ContainmentPlan:
    """The plan for a target."""
    rules = ContainmentPolicy(**{"deny_profile": "forensics-isolated", **policy})
    return make_plan(target, original=original or target, case_id=CASE_ID, token="0" * 12, policy=rules, now=NOW)


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


def test_a_playbook_may_want_the_credentials_dead_first() -> None:
    steps = planned(everything(), credentials_first=True).steps
    assert [s.id for s in steps[:3]] == ["credentials.metadata", "credentials.deny", "credentials.profile"]


def test_every_step_says_why_and_what_undoes_it() -> None:
    own_rules = {Stage.RULES, Stage.CLEANUP}
    for step in planned(everything(), revoke_role=True).steps:
        assert step.reason
        assert step.undo or step.stage in own_rules, step.id


def test_who_else_is_affected_is_said() -> None:
    steps = {s.id: s.side_effects for s in planned(everything()).steps}
    assert "replacement" in steps["scaling.leave"][0]
    assert "NO other target stays" in steps[f"balancer.{GROUP}.i-0123456789abcdef0.80"][0]
    assert "198.51.100.7" in steps["address.198.51.100.7.eni-0"][0]
    text = "\n".join(plan_lines(planned(everything(), approval=("production",))))
    assert "production" in text and "Also affected" in text and "autoscaling.enter_standby" in text


def test_a_spot_instance_is_not_asked_for_what_ec2_refuses() -> None:
    plan = planned(everything(spot=True))
    assert not {"protect.DisableApiTermination", "protect.DisableApiStop", "protect.shutdown"} & {
        s.id for s in plan.steps
    }
    assert any("Spot" in r for r in plan.residuals)


@pytest.mark.parametrize(
    ("changes", "operation"),
    [
        ({}, "enter_standby"),
        ({"maximum": 1}, "detach_instances"),
        ({"lifecycle": "Warmed:Running"}, "detach_instances"),
        ({"lifecycle": "Standby"}, None),
        ({"lifecycle": "Detached"}, None),
    ],
)
def test_how_it_leaves_its_group(changes: dict[str, Any], operation: str | None) -> None:
    target = everything()
    assert target.scaling is not None
    plan = planned(target.model_copy(update={"scaling": target.scaling.model_copy(update=changes)}))
    left = [s.call for s in plan.steps if s.id == "scaling.leave"]
    assert [c.operation for c in left] == ([operation] if operation else [])
    assert all(c.params["ShouldDecrementDesiredCapacity"] is False for c in left)


def test_a_stopped_instance_has_no_flow_to_break_and_stays_in_its_target_group() -> None:
    stages = {s.stage for s in planned(everything(state="stopped")).steps}
    assert not stages & {Stage.OPEN, Stage.CLEANUP, Stage.BALANCERS}
    assert Stage.CLOSE in stages


def test_without_a_deny_all_profile_the_profile_is_taken_off() -> None:
    (step,) = [s for s in planned(everything(deny_profile_exists=False)).steps if s.id == "credentials.profile"]
    assert step.call.operation == "disassociate_iam_instance_profile"


def test_the_same_target_gives_the_same_digest_and_another_one_does_not() -> None:
    plan = planned(everything())
    assert plan.digest == planned(everything()).digest
    assert plan.digest != planned(everything(spot=True)).digest
    later = everything().model_copy(update={"read_at": NOW + timedelta(hours=1)})
    assert plan.digest == planned(later).digest


def test_a_plan_with_a_new_step_is_beyond_what_was_approved() -> None:
    approved = planned(everything())
    less = approved.model_copy(update={"steps": approved.steps[3:]})
    assert beyond(less, approved=approved) == []
    more = planned(everything(interfaces=(*everything().interfaces, eni(2))))
    assert any("eni-2" in step for step in beyond(more, approved=approved))


def endpoint(service: str, kind: str = "Interface", **changes: Any) -> EndpointFacts:
    """A VPC endpoint."""
    values = {"id": f"vpce-{service}", "service": service, "kind": kind, "vpc_id": "vpc-1", "group_ids": ("sg-ep",)}
    return EndpointFacts(**{**values, **changes})


S3 = endpoint("s3", "Gateway", group_ids=(), prefix_list_id="pl-1")


@pytest.mark.parametrize(
    ("endpoints", "missing"),
    [
        ((), ["s3 in vpc-1", "ssm in vpc-1", "ssmmessages in vpc-1"]),
        ((endpoint("ssm"), S3), ["ssmmessages in vpc-1"]),
        ((endpoint("ssm"), endpoint("ssmmessages")), ["s3 in vpc-1"]),
        ((endpoint("ssm"), endpoint("ec2messages"), S3), []),
        ((endpoint("ssm"), endpoint("ssmmessages"), endpoint("s3")), []),
        ((endpoint("ssm", vpc_id="vpc-2"), endpoint("ssmmessages"), S3), ["ssm in vpc-1"]),
    ],
)
def test_contain_first_needs_a_way_for_commands(endpoints: tuple[EndpointFacts, ...], missing: list[str]) -> None:
    assert access_missing(facts(endpoints=endpoints)) == missing


def test_the_access_group_reaches_the_endpoints_and_nothing_else() -> None:
    (rule,) = access_rules((endpoint("ssm"), S3, endpoint("lambda", group_ids=("sg-other",))), vpc_id="vpc-1")
    assert rule == {
        "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
        "UserIdGroupPairs": [{"GroupId": "sg-ep"}], "PrefixListIds": [{"PrefixListId": "pl-1"}],
    }  # fmt: skip


def test_nothing_is_released_where_nothing_differs() -> None:
    assert release_calls(everything(), facts=everything(), case_id=CASE_ID) == []
    assert differences(everything(), facts=everything()) == []


def test_a_difference_is_named_by_its_field() -> None:
    changed = everything(stop_protected=True, interfaces=(eni(0, group_ids=("sg-x",)), eni(1)))
    found = differences(everything(), facts=changed)
    assert "stop_protected: was False, is True" in found
    assert any(d.startswith("interfaces.eni-0.group_ids") for d in found)
    assert any(d.startswith("interfaces.eni-0.addresses") for d in found)


def test_protections_come_off_last() -> None:
    contained = everything(
        termination_protected=True, interfaces=(eni(0, group_ids=("sg-q",)), eni(1)), state="running"
    )
    operations = [str(c) for c in release_calls(everything(), facts=contained, case_id=CASE_ID)]
    assert operations[-1] == "ec2.modify_instance_attribute"
    assert operations.index("ec2.modify_network_interface_attribute") < operations.index(
        "ec2.modify_instance_attribute"
    )
