"""The case's security groups: their rules, and whether they may be used."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.containment.quarantine_groups import access_rules, missing_endpoints
from forensics.models.target_facts import EndpointFacts
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
