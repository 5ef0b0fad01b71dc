"""The shipped service control policies: hostile calls of a member account are denied, the product's own and honest ones are not.

Sources: AWS Organizations user guide, *SCP syntax*, *SCP evaluation*, *Quotas and service limits* (5,120 characters a policy, five
policies a target, FullAWSAccess among them); service authorization reference of EC2, IAM, SSM, KMS (resources and condition keys).
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from infra.deployment import templates
from tests.templates.scp import MEMBER, denied, rendered

CALLS = yaml.safe_load((templates.ROOT / "tests" / "templates" / "scp_calls.yaml").read_text("utf-8"))
RECORDED = json.loads((templates.ROOT / "tests" / "templates" / "product_calls.json").read_text("utf-8"))
POLICIES = rendered()
EVERYTHING = [
    "*",
    "arn:aws:ec2:eu-central-1::snapshot/snap-0123456789abcdef0",
    *(
        f"arn:aws:ec2:eu-central-1:{MEMBER}:{kind}/x-0123456789abcdef0"
        for kind in ("instance", "network-interface", "security-group", "volume", "elastic-ip")
    ),
    f"arn:aws:iam::{MEMBER}:role/web-server",
    f"arn:aws:kms:eu-central-1:{MEMBER}:key/11111111-2222-3333-4444-555555555555",
]
LONGEST = {
    "RolePrefix": "f" * 30 + "-",
    "DeploymentRoleName": "d" * 63 + "*",
    "ResponderRole": "aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_" + "r" * 60,
}


def name(row: dict[str, Any]) -> str:
    return f"{row['role'].rpartition('/')[2]}-{row['action'].rpartition(':')[2]}-{row['why'][:40]}".replace(" ", "_")


def said(row: dict[str, Any]) -> str:
    principal = f"arn:aws:iam::{MEMBER}:{row['role']}"
    return denied(
        POLICIES,
        principal=principal,
        action=row["action"],
        resource=row["resource"],
        context=row.get("context"),
    )


@pytest.mark.parametrize("row", CALLS["hostile"], ids=name)
def test_a_hostile_call_is_denied_by_the_statement_that_is_meant(row: dict[str, Any]) -> None:
    assert said(row) == row["deny"], row["why"]


@pytest.mark.parametrize("row", CALLS["honest"], ids=name)
def test_an_honest_call_is_not_denied(row: dict[str, Any]) -> None:
    assert said(row) == "", row["why"]


@pytest.mark.parametrize("call", RECORDED, ids=lambda c: f"{c['role']}-{c['action']}")
def test_what_the_product_asked_in_a_whole_story_is_not_denied(call: dict[str, Any]) -> None:
    """Recorded by ``python -m tests.iam --once --record``: cases, containment, release, audit and upkeep on the lab."""
    assert said({**call, "role": f"role/{call['role']}"}) == ""


def test_the_recording_has_what_containment_and_release_change() -> None:
    seen = {(call["role"], call["action"]) for call in RECORDED}
    assert {
        ("forensics-contain", "ec2:AuthorizeSecurityGroupEgress"),
        ("forensics-contain", "ec2:DeleteSecurityGroup"),
        ("forensics-contain", "ec2:ModifyNetworkInterfaceAttribute"),
        ("forensics-release", "ec2:ReplaceIamInstanceProfileAssociation"),
        ("forensics-acquire", "ec2:LockSnapshot"),
        ("forensics-acquire", "ssm:SendCommand"),
    } <= seen
    tagging = {(c["role"], c["action"]) for c in RECORDED if c["context"].get("aws:TagKeys") == ["forensics:contained"]}
    assert tagging == {("forensics-contain", "ec2:CreateTags"), ("forensics-release", "ec2:DeleteTags")}


@pytest.mark.parametrize("role", ["triage", "acquire", "logs", "contain", "release"])
def test_no_permission_of_a_role_is_denied_on_what_carries_every_tag(role: str) -> None:
    """``infra/permissions.yaml``, each call on each kind of resource, tagged as evidence and as contained."""
    listed = yaml.safe_load((templates.ROOT / "infra" / "permissions.yaml").read_text("utf-8"))[role]
    tags = {f"aws:ResourceTag/forensics:{key}": "fc-20261124-0123456789" for key in ("case", "contained")}
    context = {**tags, "aws:TagKeys": ["forensics:case"], "kms:ResourceAliases": ["alias/forensics-member"]}
    for action in [*listed["calls"], *listed.get("implied", {})]:
        for resource in EVERYTHING:
            by = said({"role": f"role/forensics-{role}", "action": action, "resource": resource, "context": context})
            assert by == "", f"{action} on {resource}"


def test_every_statement_is_needed_by_a_hostile_call() -> None:
    sids = {f"{policy}.{s['Sid']}" for policy, content in POLICIES.items() for s in content["Statement"]}
    assert sids == {row["deny"] for row in CALLS["hostile"]}
    assert len(CALLS["hostile"]) >= 60


@pytest.mark.parametrize("parameters", [{}, LONGEST], ids=["defaults", "longest"])
def test_the_policies_are_within_the_quotas(parameters: dict[str, str]) -> None:
    found = rendered(**parameters)
    assert len(found) <= 4, "a target takes five, and FullAWSAccess is one"
    sizes = {policy: len(json.dumps(content, separators=(",", ":"))) for policy, content in found.items()}
    assert max(sizes.values()) <= 5120, sizes


@pytest.mark.parametrize("parameters", [{}, {"ResponderRole": "soc", "DeploymentRoleName": "pipeline"}, LONGEST])
def test_whatever_is_excepted_cannot_be_made_by_a_member(parameters: dict[str, str]) -> None:
    """Each role that an exception names is one that members may not create or change."""
    policies = rendered(**parameters)
    excepted = {
        str(arn)
        for content in policies.values()
        for statement in content["Statement"]
        for arn in _list(statement.get("Condition", {}).get("ArnNotLike", {}).get("aws:PrincipalArn", []))
    }
    assert len(excepted) >= 5
    for pattern in excepted:
        role = pattern.replace("arn:*:iam::*:", f"arn:aws:iam::{MEMBER}:").replace("*", "x")
        for action in ("iam:CreateRole", "iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy"):
            by = denied(policies, principal=f"arn:aws:iam::{MEMBER}:role/admin", action=action, resource=role)
            assert by, f"{action} of {role} is open to an administrator of the account"


def test_the_responders_role_may_be_one_of_identity_center_and_is_no_pattern_for_all() -> None:
    pattern = templates.committed()["organization-policies"]["Parameters"]["ResponderRole"]["AllowedPattern"]
    assert re.fullmatch(pattern, "aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Responder_*")
    assert not re.fullmatch(pattern, "*") and not re.fullmatch(pattern, "respond*")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
