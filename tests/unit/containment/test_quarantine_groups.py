"""The case's security groups: their rules, and whether they may be used."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.containment.quarantine_groups import CaseGroups, access_rules, altered_groups, missing_endpoints
from forensics.models.target_facts import EndpointFacts, OwnGroup
from tests.unit.builders import CASE_ID
from tests.unit.containment.targets import facts


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
    assert missing_endpoints(facts(endpoints=endpoints)) == missing


def test_the_access_group_reaches_the_endpoints_and_nothing_else() -> None:
    (rule,) = access_rules((endpoint("ssm"), S3, endpoint("lambda", group_ids=("sg-other",))), vpc_id="vpc-1")
    assert rule == {
        "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
        "UserIdGroupPairs": [{"GroupId": "sg-ep"}], "PrefixListIds": [{"PrefixListId": "pl-1"}],
    }  # fmt: skip


GROUPS = CaseGroups(CASE_ID, "abcdef012345")
ALL = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
HTTPS = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}


def own(purpose: str, **rules: Any) -> OwnGroup:
    """A group of the case."""
    return OwnGroup(id=f"sg-{purpose}", name=GROUPS.name(purpose), vpc_id="vpc-1", **rules)


def test_a_groups_name_leads_back_to_its_case_and_token() -> None:
    for purpose in ("quarantine", "conversion", "access"):
        assert CaseGroups.named(GROUPS.name(purpose)) == GROUPS


def test_a_group_is_found_by_its_whole_name_in_its_vpc() -> None:
    target = facts(own_groups=(own("quarantine"),))
    assert GROUPS.reference(target, purpose="quarantine", vpc_id="vpc-1") == "sg-quarantine"
    assert GROUPS.reference(target, purpose="quarantine", vpc_id="vpc-2") == "${quarantine:vpc-2}"
    guessed = CaseGroups(CASE_ID, "000000000000")
    assert guessed.reference(target, purpose="quarantine", vpc_id="vpc-1") == "${quarantine:vpc-1}"
    assert GROUPS.quarantine_by_vpc(target) == {"vpc-1": "sg-quarantine"}


@pytest.mark.parametrize(
    ("group", "problem"),
    [
        (own("quarantine"), ""),
        (own("quarantine", egress=(ALL,)), "it has rules and must have none"),
        (own("quarantine", ingress=(SSH,)), "it has rules and must have none"),
        (own("conversion", ingress=(ALL,), egress=(ALL,)), ""),
        (own("conversion", egress=(ALL,)), "it does not allow everything, so connections would stay tracked"),
        (own("access", egress=(HTTPS,)), ""),
        (own("access", egress=(SSH,)), "its rules are not the ones it was given"),
        (own("access", egress=(HTTPS,), ingress=(SSH,)), "its rules are not the ones it was given"),
        (own("access"), "its rules are not the ones it was given"),
        (None, "it does not exist, or is not this case's any more"),
        (
            OwnGroup(id="sg-x", name="forensics-other", vpc_id="vpc-1"),
            "its name forensics-other is none of this case's",
        ),
    ],
)
def test_whether_an_interface_may_be_put_into_a_group(group: OwnGroup | None, problem: str) -> None:
    assert GROUPS.problem_of(group, endpoints=(endpoint("ssm"), S3)) == problem


@pytest.mark.parametrize(
    ("rules", "altered"),
    [
        ({}, False),
        ({"egress": (ALL,)}, False),
        ({"egress": (SSH,)}, True),
        ({"ingress": (ALL,)}, True),
        ({"egress": ({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-x"}]},)}, True),
    ],
)
def test_ec2s_own_rule_is_no_sign_of_tampering(rules: dict[str, Any], altered: bool) -> None:
    target = facts(own_groups=(own("quarantine", **rules),))
    assert bool(altered_groups(target, groups=GROUPS)) is altered
