"""The known failures of the orchestrator that this product replaces, one test each: none of them may come back."""

from __future__ import annotations

import fnmatch
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from forensics.aws import session as aws_session
from forensics.aws.session import Scope, assume
from forensics.containment import calls
from forensics.containment.call_runner import ALLOWED
from forensics.containment.plan import make_plan
from forensics.containment.policy import ContainmentPolicy
from forensics.containment.quarantine_groups import CaseGroups
from forensics.errors import AccessDeniedError
from forensics.models.containment import ContainmentPlan, ContainmentState
from forensics.models.target_facts import InstanceFacts, MetadataFacts, ProfileFacts
from tests.containment.conftest import Server
from tests.containment.drive import CASE_ID, Driver, verify_contained
from tests.containment.test_faults import access
from tests.containment.world import ACCOUNT, REGION, Cell, World
from tests.unit.containment.targets import eni, facts

INTRUDER = Cell(interfaces=2, v6=True, address=True, group=False, role="shared", running=True)


def planned(target: InstanceFacts, **policy: Any) -> ContainmentPlan:
    """The plan for a target."""
    now = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    return make_plan(
        target, original=target, case_id=CASE_ID, token="0" * 12, policy=ContainmentPolicy(**policy), now=now
    )


def sent(plan: ContainmentPlan, operation: str) -> list[dict[str, Any]]:
    """Parameters of all calls of one operation."""
    return [s.call.params for s in plan.steps if s.call.operation == operation]


def with_role(**changes: Any) -> InstanceFacts:
    """A target with a role that another instance has too."""
    profile = ProfileFacts(
        association_id="iip-assoc-1", name="app", arn="arn:aws:iam::333344445555:instance-profile/app", role="app",
        shared_with=("i-0fedcba9876543210",),
    )  # fmt: skip
    return facts(profile=profile, metadata=MetadataFacts(endpoint="enabled", tokens="optional"), **changes)


def test_9_isolation_is_not_ipv4_only(world: World) -> None:
    made = world.make(INTRUDER)
    before = world.everything(made)
    assert any("::/0" in a for a in access(before))
    driver = Driver.start(world.gateway(), made.instance_id)
    opening = [p for p in sent(driver.plan(), "authorize_security_group_ingress") if p["IpPermissions"]]
    assert opening and all("Ipv6Ranges" in str(p) and "IpRanges" in str(p) for p in opening)
    driver.contain()
    assert verify_contained(world, made, before=before) == []
    assert [a for a in access(world.everything(made)) if "IpPermissions" in a] == []


def test_10_a_security_group_is_never_found_by_its_name(world: World) -> None:
    made = world.make(INTRUDER)
    driver = Driver.start(world.gateway(), made.instance_id)
    guessed = f"forensics-quarantine-{CASE_ID}"
    planted = world.ec2.create_security_group(
        GroupName=guessed, Description="x", VpcId=world.vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "forensics:case", "Value": CASE_ID}]}],
    )["GroupId"]  # fmt: skip
    assert [s for s in driver.contain() if not s.done] == []
    assert planted not in {g for i in driver.facts().interfaces for g in i.group_ids}
    assert driver.state()[0] is ContainmentState.NEW_FLOWS_BLOCKED
    world.ec2.delete_security_group(GroupId=planted)


def test_10_a_group_of_this_case_that_somebody_opened_is_not_used(world: World) -> None:
    made = world.make(INTRUDER)
    driver = Driver.start(world.gateway(), made.instance_id)
    groups = CaseGroups(CASE_ID, driver.token)
    opened = world.ec2.create_security_group(
        GroupName=groups.name("quarantine"), Description="x", VpcId=world.vpc,
        TagSpecifications=[{"ResourceType": "security-group", "Tags": [{"Key": "forensics:case", "Value": CASE_ID}]}],
    )["GroupId"]  # fmt: skip
    ssh = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    world.ec2.authorize_security_group_ingress(GroupId=opened, IpPermissions=ssh)
    steps = driver.contain()
    refused = [s for s in steps if not s.done and s.name.startswith(("isolate.open.", "isolate.close."))]
    assert refused and all("it has rules and must have none" in s.detail for s in refused if "close" in s.name)
    assert opened not in {g for i in driver.facts().interfaces for g in i.group_ids}
    assert driver.state()[0] is ContainmentState.FAILED


def test_11_an_error_does_not_roll_isolation_back(world: World, server: Server) -> None:
    made = world.make(INTRUDER)
    before = world.everything(made)
    driver = Driver.start(world.gateway(), made.instance_id)
    with server.faults({"service": "iam", "action": "PutRolePolicy", "code": "AccessDenied", "status": 403}):
        steps = driver.contain()
    assert [s.name for s in steps if not s.done] == ["credentials.deny"]
    assert verify_contained(world, made, before=before) == ["credentials of the role are alive"]
    state, problems = driver.state()
    assert state is ContainmentState.NEW_FLOWS_BLOCKED and problems == ["credentials.deny"]


@pytest.mark.parametrize("call", ["ModifyNetworkInterfaceAttribute", "DisassociateAddress", "DeleteSecurityGroup"])
def test_the_except_that_failed_open_fails_closed(world: World, server: Server, call: str) -> None:
    made = world.make(INTRUDER)
    before = world.everything(made)
    driver = Driver.start(world.gateway(), made.instance_id)
    # every such call fails from the third on: one interface is in the open group then and cannot go on
    with server.faults({"service": "ec2", "action": call, "skip": 3, "code": "InternalError", "status": 500}):
        driver.contain()
    assert access(world.everything(made)) - access(before) == set()
    driver.contain()
    assert verify_contained(world, made, before=before) == []


@pytest.fixture
def far_from_utc() -> Iterator[None]:
    """A machine whose local time is thirteen hours ahead."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Pacific/Auckland"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


def test_12_the_revocation_time_is_utc_and_not_local_time_with_a_z(far_from_utc: None) -> None:
    assert time.localtime().tm_gmtoff != 0
    (policy,) = [
        p for p in sent(planned(with_role(), revoke_role=True), "put_role_policy") if "revoke" in p["PolicyName"]
    ]
    (statement,) = json.loads(policy["PolicyDocument"])["Statement"]
    assert statement["Condition"]["DateLessThan"]["aws:TokenIssueTime"] == "2026-11-24T12:00:00.000000Z"


def test_13_only_the_target_loses_its_credentials_when_the_role_is_shared() -> None:
    target = with_role()
    (policy,) = sent(planned(target), "put_role_policy")
    (statement,) = json.loads(policy["PolicyDocument"])["Statement"]
    pattern = statement["Condition"]["StringLike"]["aws:userid"]
    assert fnmatch.fnmatchcase(f"AROAEXAMPLE:{target.instance_id}", pattern)
    assert not fnmatch.fnmatchcase("AROAEXAMPLE:i-0fedcba9876543210", pattern)
    assert not fnmatch.fnmatchcase("AROAEXAMPLE:a-person", pattern)
    assert planned(target).approval == ()
    asked = planned(target, revoke_role=True).approval
    assert asked and "i-0fedcba9876543210" in asked[0], "a role-wide revocation needs a person when others use the role"


def test_14_the_metadata_service_is_switched_off() -> None:
    (call,) = sent(planned(with_role()), "modify_instance_metadata_options")
    assert (call["HttpEndpoint"], call["HttpTokens"]) == ("disabled", "required")


def test_15_nobody_can_stop_or_terminate_the_target() -> None:
    attributes = [key for p in sent(planned(with_role()), "modify_instance_attribute") for key in p]
    assert {"DisableApiStop", "DisableApiTermination", "InstanceInitiatedShutdownBehavior"} <= set(attributes)
    assert all(len(p) == 2 for p in sent(planned(with_role()), "modify_instance_attribute")), "one attribute per call"


def test_18_containment_can_touch_no_key_and_delete_nothing_but_its_own() -> None:
    assert "kms" not in ALLOWED
    deleting = {
        f"{s}.{o}" for s, names in ALLOWED.items() for o in names if o.startswith(("delete", "terminate", "schedule"))
    }
    assert deleting == {"ec2.delete_security_group", "ec2.delete_tags", "iam.delete_role_policy"}
    assert calls.deny_policy_name(CASE_ID).startswith("forensics-") and calls.revoke_policy_name(CASE_ID).startswith(
        "forensics-"
    )


def test_19_a_role_is_assumed_with_the_external_id_or_not_at_all(
    server: Server, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lab.accounts import ROOT_SECRET, root_access_key

    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::222233334444:root"},
                "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"],
                "Condition": {"StringEquals": {"sts:ExternalId": "the-right-one"}},
            }
        ],
    }
    world.iam.create_role(RoleName="regression-contain", AssumeRolePolicyDocument=json.dumps(trust))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", root_access_key("222233334444"))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ROOT_SECRET)
    scope = Scope(account_id=ACCOUNT, region=REGION, phase="contain", case_id=CASE_ID)
    aws_session.forget()
    source = aws_session.own_session("222233334444", REGION)
    role = f"arn:aws:iam::{ACCOUNT}:role/regression-contain"
    same: dict[str, Any] = {"source": source, "role_arn": role, "session_name": CASE_ID}
    try:
        with pytest.raises(AccessDeniedError):
            assume(scope, external_id="a-wrong-one", **same)
        made = assume(scope, external_id="the-right-one", **same)
        arn = made.client("sts").get_caller_identity()["Arn"]
        assert arn.endswith(f"/{CASE_ID}") and ACCOUNT in arn
    finally:
        aws_session.forget()
        world.iam.delete_role(RoleName="regression-contain")


def test_an_interface_in_another_vpc_gets_that_vpcs_quarantine_group() -> None:
    plan = planned(facts(interfaces=(eni(0), eni(1, vpc_id="vpc-2"))))
    made = {p["VpcId"] for p in sent(plan, "create_security_group") if "quarantine" in p["GroupName"]}
    assert made == {"vpc-1", "vpc-2"}
    ends = {s.target: s.call.params["Groups"] for s in plan.steps if s.id.startswith("isolate.close.")}
    assert ends == {"eni-0": ["${quarantine:vpc-1}"], "eni-1": ["${quarantine:vpc-2}"]}


def test_a_group_is_never_opened_before_there_is_an_empty_one_to_go_on_to() -> None:
    plan = planned(facts(interfaces=(eni(0), eni(1))))
    ids = [s.id for s in plan.steps]
    for step in plan.steps:
        assert all(ids.index(n) < ids.index(step.id) for n in step.needs)
        if step.id.startswith("isolate.open."):
            assert {"isolate.group.quarantine.vpc-1", "isolate.strip.quarantine.vpc-1"} <= set(step.needs)
