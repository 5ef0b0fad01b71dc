"""Who touches locks, keys, roles or instances is reported: CloudTrail's events against the rules' patterns, as EventBridge matches them.

Shapes of ``userIdentity``: CloudTrail user guide, "CloudTrail userIdentity element" (an IAM user and root have no session issuer; of a role's
session it is the role). IAM's events are written in the partition's one Region ("Global service events"), and reach a rule there only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.deployment import configuration, plan, templates
from lab.emulator.patches.events import matches

ACCOUNT = "222233334444"
EXAMPLE = templates.ROOT / "infra" / "deployment.example.yaml"


def plain(value: Any) -> Any:
    """A pattern with the parameters of the example filled in."""
    if isinstance(value, dict):
        if set(value) == {"Ref"}:
            return {"RolePrefix": "forensics-"}[value["Ref"]]
        if set(value) == {"Fn::Sub"}:
            text = str(value["Fn::Sub"])
            known = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "RolePrefix": "forensics-"}
            for name, filled in known.items():
                text = text.replace(f"${{{name}}}", filled)
            return text
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


def pattern(template: str, rule: str) -> dict[str, Any]:
    found: dict[str, Any] = plain(templates.committed()[template]["Resources"][rule]["Properties"]["EventPattern"])
    return found


def session(role: str, account: str = ACCOUNT) -> dict[str, Any]:
    issuer = {
        "type": "Role",
        "arn": f"arn:aws:iam::{account}:role/{role}",
        "userName": role.rpartition("/")[2],
        "accountId": account,
    }
    return {
        "type": "AssumedRole",
        "sessionContext": {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}},
    }


USER = {
    "type": "IAMUser",
    "userName": "mallory",
    "accountId": ACCOUNT,
    "sessionContext": {"attributes": {"mfaAuthenticated": "true"}},
}
ROOT = {"type": "Root", "principalId": ACCOUNT, "arn": f"arn:aws:iam::{ACCOUNT}:root"}


def event(
    source: str, name: str, who: dict[str, Any], *, kind: str = "AWS API Call via CloudTrail", **asked: Any
) -> dict[str, Any]:
    return {
        "source": source,
        "detail-type": kind,
        "detail": {"eventName": name, "userIdentity": who, "requestParameters": asked or None},
    }


@pytest.mark.parametrize(
    ("who", "reported"),
    [
        (session("forensics-analyse"), False),
        (session("Administrator"), True),
        (session("forensics-evil"), True),
        (session("deep/forensics-analyse"), True),
        (session("forensics-analyse", "999999999999"), True),
        (USER, True),
        ({"type": "IAMUser", "userName": "mallory"}, True),
        (ROOT, True),
    ],
    ids=[
        "the product",
        "an administrator",
        "a name like ours",
        "a path",
        "another account",
        "a user with MFA",
        "a user",
        "root",
    ],
)
@pytest.mark.parametrize("call", ["SendCommand", "StartSession", "ResumeSession"])
def test_whoever_runs_commands_on_a_forensic_instance_and_is_not_the_product(
    who: dict[str, Any], reported: bool, call: str
) -> None:
    assert matches(event("aws.ssm", call, who), pattern("protection", "CommandsOutsideThePipeline")) is reported


@pytest.mark.parametrize(
    "call",
    ["CreateRole", "UpdateRole", "UpdateAssumeRolePolicy", "PutRolePolicy", "AttachRolePolicy", "DeleteRolePolicy", "DetachRolePolicy",
     "PutRolePermissionsBoundary", "DeleteRolePermissionsBoundary", "DeleteRole"],
)  # fmt: skip
def test_a_change_of_one_of_our_roles_is_handed_on_from_iams_region_and_reported_at_home(call: str) -> None:
    ours = event("aws.iam", call, session("Administrator"), roleName="forensics-custodian")
    assert matches(ours, pattern("iam-events", "HandOn"))
    assert matches(ours, pattern("protection", "RolesTouched"))
    assert not matches(event("aws.iam", call, USER, roleName="billing"), pattern("protection", "RolesTouched"))


def test_root_is_reported_wherever_it_signs_in() -> None:
    for kind, name in (
        ("AWS Console Sign In via CloudTrail", "ConsoleLogin"),
        ("AWS API Call via CloudTrail", "PutBucketPolicy"),
    ):
        seen = event("aws.signin", name, ROOT, kind=kind)
        assert matches(seen, pattern("protection", "RootUsed")) and matches(seen, pattern("iam-events", "HandOn"))
        assert not matches(
            event("aws.signin", name, session("Administrator"), kind=kind), pattern("protection", "RootUsed")
        )


@pytest.mark.parametrize("call", ["DisableKey", "ScheduleKeyDeletion", "PutKeyPolicy", "UpdateAlias", "DeleteAlias"])
def test_a_key_that_is_made_unusable_or_led_elsewhere_is_reported(call: str) -> None:
    assert matches(event("aws.kms", call, USER), pattern("protection", "KeysTouched"))


@pytest.mark.parametrize(
    ("home", "there"), [("eu-central-1", ["us-east-1"]), ("us-east-1", []), ("us-gov-east-1", ["us-gov-west-1"])]
)
def test_iams_events_are_handed_on_from_where_they_are_written(home: str, there: list[str], tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8").replace("region: eu-central-1", f"region: {home}", 1)
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    steps = [s for s in plan.steps(configuration.read(file)) if s.template == "iam-events"]
    assert [s.region for s in steps] == there
    assert all(s.parameters["HomeRegion"].value == home for s in steps)


def test_what_is_handed_on_is_not_handed_on_again() -> None:
    """The rule's target is the home Region's bus, and no stack of the home Region has the rule: events do not go in a circle."""
    body = templates.committed()["iam-events"]
    (target,) = body["Resources"]["HandOn"]["Properties"]["Targets"]
    assert "${HomeRegion}" in target["Arn"]["Fn::Sub"] and target["RoleArn"]
    assert (
        body["Resources"]["HandOnRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"][0]["Resource"]
        == target["Arn"]
    )
