"""IAM: whose role it is, who else has it, and what IAM would say."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.stub import Stubber

from forensics.aws.iam import IamGateway, principals_besides_ec2
from forensics.errors import AccessDeniedError
from forensics.models.containment import Permission
from tests.unit.aws.conftest import Stub

ROLE_ARN = "arn:aws:iam::333344445555:role/app"
MADE = {"Path": "/", "CreateDate": datetime(2026, 1, 1, tzinfo=UTC)}
ROLE = {**MADE, "RoleName": "app", "RoleId": "AROA000000000000", "Arn": ROLE_ARN}


def profile(name: str, roles: list[dict[str, Any]]) -> dict[str, Any]:
    """An instance profile."""
    arn = f"arn:aws:iam::333344445555:instance-profile/{name}"
    return {**MADE, "InstanceProfileName": name, "InstanceProfileId": "AIPA000000000000", "Arn": arn, "Roles": roles}


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """IAM."""
    return stubbed("iam")


@pytest.fixture
def iam(stub: Stubber) -> IamGateway:
    """The gateway."""
    return IamGateway(stub.client, account_id="333344445555", region="eu-central-1")


@pytest.mark.parametrize(("roles", "found"), [([ROLE], ROLE), ([], None)])
def test_a_profile_has_a_role_or_none(
    stub: Stubber, iam: IamGateway, roles: list[dict[str, Any]], found: dict[str, Any] | None
) -> None:
    stub.add_response(
        "get_instance_profile", {"InstanceProfile": profile("app", roles)}, {"InstanceProfileName": "app"}
    )
    assert iam.profile_role("app") == found


def test_a_profile_that_does_not_exist_has_none(stub: Stubber, iam: IamGateway) -> None:
    stub.add_client_error("get_instance_profile", "NoSuchEntity")
    assert iam.profile_role("app") is None


def test_a_refusal_is_not_taken_for_a_missing_profile(stub: Stubber, iam: IamGateway) -> None:
    stub.add_client_error("get_instance_profile", "AccessDenied")
    with pytest.raises(AccessDeniedError, match="read instance profile app in account 333344445555"):
        iam.profile_role("app")


def test_all_profiles_with_the_role_are_named(stub: Stubber, iam: IamGateway) -> None:
    first = {"InstanceProfiles": [profile("app", [])], "IsTruncated": True, "Marker": "more"}
    stub.add_response("list_instance_profiles_for_role", first, {"RoleName": "app"})
    second = {"InstanceProfiles": [profile("app-2", [])], "IsTruncated": False}
    stub.add_response("list_instance_profiles_for_role", second, {"RoleName": "app", "Marker": "more"})
    assert iam.profiles_of("app") == ("app", "app-2")


def test_only_policies_of_this_product_are_its_own(stub: Stubber, iam: IamGateway) -> None:
    names = ["forensics-revoke-fc-1", "app-data"]
    stub.add_response("list_role_policies", {"PolicyNames": names, "IsTruncated": False}, {"RoleName": "app"})
    assert iam.own_policies("app") == ("forensics-revoke-fc-1",)


def test_a_role_that_is_gone_has_no_policies(stub: Stubber, iam: IamGateway) -> None:
    stub.add_client_error("list_role_policies", "NoSuchEntity")
    assert iam.own_policies("app") == ()


@pytest.mark.parametrize(("aliases", "alias"), [(["acme-prod"], "acme-prod"), ([], "")])
def test_an_account_has_one_alias_or_none(stub: Stubber, iam: IamGateway, aliases: list[str], alias: str) -> None:
    stub.add_response("list_account_aliases", {"AccountAliases": aliases, "IsTruncated": False}, {})
    assert iam.account_alias() == alias


PERMISSION = Permission("ec2:CreateTags", "arn:aws:ec2:eu-central-1:333344445555:instance/*", {"aws:TagKeys": "x"})


@pytest.mark.parametrize(
    ("result", "verdict", "words"),
    [
        ({"EvalDecision": "allowed"}, True, "IAM would allow ec2:CreateTags on"),
        ({"EvalDecision": "implicitDeny"}, False, r"refuse .*\(implicitDeny\)"),
        ({"EvalDecision": "explicitDeny", "MissingContextValues": ["aws:x"]}, False, r"\(explicitDeny\)"),
        ({"EvalDecision": "implicitDeny", "MissingContextValues": ["aws:x"]}, None, "without aws:x"),
        (
            {
                "EvalDecision": "implicitDeny",
                "ResourceSpecificResults": [
                    {
                        "EvalResourceName": "r",
                        "EvalResourceDecision": "implicitDeny",
                        "MissingContextValues": ["aws:ResourceTag/a"],
                    }
                ],
            },
            None,
            "without aws:ResourceTag/a",
        ),
        (
            {"EvalDecision": "implicitDeny", "OrganizationsDecisionDetail": {"AllowedByOrganizations": False}},
            False,
            "by a policy of the organization",
        ),
    ],
)
def test_what_iam_says_of_a_permission(
    stub: Stubber, iam: IamGateway, result: dict[str, Any], verdict: bool | None, words: str
) -> None:
    stub.add_response(
        "simulate_principal_policy",
        {"EvaluationResults": [{"EvalActionName": PERMISSION.action, **result}]},
        {
            "PolicySourceArn": ROLE_ARN,
            "ActionNames": ["ec2:CreateTags"],
            "ResourceArns": [PERMISSION.resource],
            "ContextEntries": [
                {"ContextKeyName": "aws:TagKeys", "ContextKeyValues": ["x"], "ContextKeyType": "string"}
            ],
        },
    )
    allowed, said = iam.simulate(ROLE_ARN, PERMISSION)
    assert allowed is verdict
    assert re.search(words, said), said


def statement(principal: object, effect: str = "Allow") -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": "sts:AssumeRole"}


@pytest.mark.parametrize(
    ("trust", "others"),
    [
        ({"Statement": [statement({"Service": "ec2.amazonaws.com"})]}, ()),
        ({"Statement": [statement({"Service": ["ec2.amazonaws.com", "ecs.amazonaws.com"]})]}, ("ecs.amazonaws.com",)),
        ({"Statement": statement({"AWS": "arn:aws:iam::1:root"})}, ("arn:aws:iam::1:root",)),
        ({"Statement": [statement("*")]}, ("*",)),
        ({"Statement": [statement("*", effect="Deny")]}, ()),
        (None, ()),
        ("not JSON", ()),
    ],
)
def test_who_besides_ec2_may_assume_a_role(trust: object, others: tuple[str, ...]) -> None:
    assert principals_besides_ec2(trust) == others
