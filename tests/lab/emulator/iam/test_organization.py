"""Service control policies hold members, not the management account, and the product works under those that it ships.

Sources: AWS Organizations user guide, "Service control policies (SCPs)" ("Effects on permissions", "Tasks and entities not restricted by
SCPs") and "SCP evaluation"; IAM user guide, "Troubleshoot access denied error messages" (the two forms of the message).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws

from infra.deployment import templates
from lab.accounts import MANAGEMENT_ACCOUNT, MEMBER_ACCOUNT
from lab.emulator.cloudformation.engine import Stack
from lab.emulator.iam import organization
from lab.emulator.iam.enforcement import words
from lab.emulator.iam.policy import Decision, Request

REGION = "eu-central-1"
GROUP = "arn:aws:ec2:eu-central-1:333344445555:security-group/sg-1"


def client(service: str) -> Any:
    make: Any = boto3.client
    return make(service, region_name=REGION)


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An organization with the committed policies attached to its root."""
    monkeypatch.setenv("MOTO_ACCOUNT_ID", MANAGEMENT_ACCOUNT)
    with mock_aws():
        monkeypatch.setattr(
            "moto.core.responses.BaseResponse.get_current_account", lambda _self: MANAGEMENT_ACCOUNT, raising=False
        )
        organizations = client("organizations")
        organizations.create_organization(FeatureSet="ALL")
        root = organizations.list_roots()["Roots"][0]["Id"]
        text = yaml.safe_dump(templates.committed()["organization-policies"])
        Stack("forensics-organization", MANAGEMENT_ACCOUNT, REGION, text, {"TargetIds": root}).create(client)
        yield
    organization.attach({})


def decide(role: str, action: str, resource: str, *, account: str = MEMBER_ACCOUNT, **context: Any) -> Decision | None:
    arn = f"arn:aws:iam::{account}:role/{role}"
    keys = {k.replace("__", ":"): v for k, v in context.items()} | {"aws:PrincipalArn": arn}
    return organization.decision(account, arn, Request(action, resource, keys))


CASE = {"aws:ResourceTag/forensics:case": "fc-1"}


@pytest.mark.parametrize(
    ("role", "action", "denied"),
    [
        ("admin", "ec2:AuthorizeSecurityGroupIngress", True),
        ("admin", "ec2:DeleteSecurityGroup", True),
        ("admin", "ec2:DescribeInstances", False),
        # isolation opens its conversion group for a moment and deletes it: its own organization must let it
        ("forensics-contain", "ec2:AuthorizeSecurityGroupIngress", False),
        ("forensics-contain", "ec2:AuthorizeSecurityGroupEgress", False),
        ("forensics-contain", "ec2:DeleteSecurityGroup", False),
        ("forensics-release", "ec2:DeleteSecurityGroup", False),
        ("forensics-triage", "ec2:DeleteSecurityGroup", True),
    ],
)
def test_groups_of_a_case_are_changed_by_containment_and_release_only(
    shipped: None, role: str, action: str, denied: bool
) -> None:
    found = decide(role, action, GROUP, **CASE)
    assert (found is not None) is denied
    if found:
        assert found.by == "explicit deny by forensics-containment-stays.QuarantineStays"
        assert words(found, "service control", action) == "with an explicit deny in a service control policy"


def test_nobody_of_the_management_account_and_no_service_linked_role_is_held(shipped: None) -> None:
    assert decide("admin", "ec2:DeleteSecurityGroup", GROUP, account=MANAGEMENT_ACCOUNT, **CASE) is None
    assert decide("aws-service-role/x.amazonaws.com/X", "ec2:DeleteSecurityGroup", GROUP, **CASE) is None


def test_where_nothing_allows_everything_is_refused_in_other_words(shipped: None) -> None:
    """ "Allow list": the root has another policy instead of FullAWSAccess."""
    backend: Any = organization.organizations_backends[MANAGEMENT_ACCOUNT]["aws"]
    backend.ou[0].attached_policies = [p for p in backend.ou[0].attached_policies if p.name != "FullAWSAccess"]
    found = decide("forensics-triage", "ec2:DescribeInstances", "*")
    assert found is not None
    expected = "because no service control policy allows the ec2:DescribeInstances action"
    assert words(found, "service control", "ec2:DescribeInstances") == expected


def test_without_an_organization_nothing_is_held() -> None:
    with mock_aws():
        assert decide("admin", "ec2:DeleteSecurityGroup", GROUP, **CASE) is None
