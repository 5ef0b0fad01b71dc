"""The calls as they are sent."""

from __future__ import annotations

import fnmatch
import json
from datetime import UTC, datetime

import pytest

from forensics.containment import calls
from forensics.models.containment import ApiCall
from forensics.models.target_facts import MembershipFacts, ProfileFacts, ScalingFacts
from tests.unit.builders import CASE_ID, INSTANCE

PROFILE = ProfileFacts(association_id="iip-1", name="app", arn="arn", role="app")


def statement(call: ApiCall) -> dict[str, object]:
    """The one statement of a policy."""
    (found,) = json.loads(str(call.params["PolicyDocument"]))["Statement"]
    return dict(found)


def test_the_deny_meets_this_instances_sessions_alone() -> None:
    call = calls.deny_instance(CASE_ID, profile=PROFILE, instance_id=INSTANCE)
    assert (call.service, call.operation) == ("iam", "put_role_policy")
    assert call.params["PolicyName"] == f"forensics-deny-{CASE_ID}"
    (pattern,) = statement(call)["Condition"]["StringLike"].values()  # type: ignore[index]
    assert fnmatch.fnmatchcase(f"AROAEXAMPLE:{INSTANCE}", pattern)
    assert not fnmatch.fnmatchcase("AROAEXAMPLE:i-0fedcba9876543210", pattern)


def test_the_revocation_ends_sessions_that_are_older_than_now_in_utc() -> None:
    call = calls.revoke_role(CASE_ID, profile=PROFILE, before=datetime(2026, 11, 24, 12, tzinfo=UTC))
    assert statement(call)["Condition"] == {"DateLessThan": {"aws:TokenIssueTime": "2026-11-24T12:00:00.000000Z"}}


@pytest.mark.parametrize(
    ("lifecycle", "desired", "maximum", "running", "operation"),
    [
        ("InService", 1, 2, True, "enter_standby"),
        ("InService", 2, 2, True, "detach_instances"),
        ("InService", 2, 2, False, "enter_standby"),
        ("Warmed:Running", 1, 2, True, "detach_instances"),
    ],
)
def test_standby_needs_room_to_come_back_from(
    lifecycle: str, desired: int, maximum: int, running: bool, operation: str
) -> None:
    facts = ScalingFacts(group="web", lifecycle=lifecycle, protected=False, desired=desired, minimum=1, maximum=maximum)
    call = calls.leave_group(INSTANCE, facts=facts, running=running)
    assert call.operation == operation
    assert call.params["ShouldDecrementDesiredCapacity"] is False


def test_a_target_is_registered_where_it_was() -> None:
    member = MembershipFacts(kind="elbv2", balancer="arn:tg", target_id="10.0.0.4", port=80, zone="all")
    target = [{"Id": "10.0.0.4", "Port": 80, "AvailabilityZone": "all"}]
    assert calls.register(member).params == {"TargetGroupArn": "arn:tg", "Targets": target}
    assert calls.deregister(member).params == calls.register(member).params
    classic = MembershipFacts(kind="elb", balancer="old", target_id=INSTANCE)
    assert calls.deregister(classic) == ApiCall(
        service="elb",
        operation="deregister_instances_from_load_balancer",
        params={"LoadBalancerName": "old", "Instances": [{"InstanceId": INSTANCE}]},
    )


def test_a_new_group_carries_the_case() -> None:
    call = calls.create_group(CASE_ID, name="n", vpc_id="vpc-1", purpose="quarantine")
    (specification,) = call.params["TagSpecifications"]  # type: ignore[misc]
    assert {"Key": "forensics:case", "Value": CASE_ID} in specification["Tags"]


def test_the_groups_of_a_call_are_those_that_it_puts_an_interface_into() -> None:
    assert calls.interface_groups("eni-0", groups=["sg-1", "sg-2"]).group_ids == ("sg-1", "sg-2")
    assert calls.delete_group("sg-1").group_ids == ()
