"""What AWS refuses, or drops without a word, on the first deployment: each rule names the document that says so."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest
import yaml

from infra.deployment import plan, templates

ALL = templates.committed()
PERMISSIONS = yaml.safe_load((templates.ROOT / "infra" / "permissions.yaml").read_text("utf-8"))


def of_type(kind: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(template, logical id, properties) of every resource of a type."""
    return [
        (name, logical, resource["Properties"])
        for name, template in ALL.items()
        for logical, resource in template["Resources"].items()
        if resource["Type"] == kind
    ]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def allows(statement: dict[str, Any], action: str) -> bool:
    return statement["Effect"] == "Allow" and any(
        fnmatchcase(action.lower(), known.lower()) for known in listed(statement.get("Action", []))
    )


KEYS = of_type("AWS::KMS::Key")
# What CloudFormation calls for AWS::KMS::Key and AWS::KMS::Alias (create, update and delete handlers of the resource types' schemas), and
# what a person needs when a key's material is in doubt. KMS developer guide, "Controlling access to aliases": CreateAlias and DeleteAlias
# are asked of the alias and of the key, and the key's policy has to give or delegate them.
ADMINISTRATION = (
    "kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias", "kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus",
    "kms:PutKeyPolicy", "kms:EnableKeyRotation", "kms:TagResource", "kms:ListResourceTags", "kms:ScheduleKeyDeletion",
    "kms:RotateKeyOnDemand", "kms:ListGrants", "kms:RevokeGrant",
)  # fmt: skip


@pytest.mark.parametrize(("template", "key", "properties"), KEYS, ids=[f"{t}.{k}" for t, k, _ in KEYS])
def test_a_key_can_be_deployed_named_rotated_and_removed(template: str, key: str, properties: dict[str, Any]) -> None:
    account = f"arn:{{{'AWS::Partition'}}}:iam::{{{'AWS::AccountId'}}}:root"
    delegated = [
        statement
        for statement in properties["KeyPolicy"]["Statement"]
        if "Condition" not in statement and ":root" in str(statement["Principal"].get("AWS"))
    ]
    missing = [action for action in ADMINISTRATION if not any(allows(s, action) for s in delegated)]
    assert missing == [], f"{template}.{key}: {account} may not {', '.join(missing)}"


@pytest.mark.parametrize(("template", "key", "properties"), KEYS, ids=[f"{t}.{k}" for t, k, _ in KEYS])
def test_a_key_policy_names_no_principal_that_may_not_exist(
    template: str, key: str, properties: dict[str, Any]
) -> None:
    """KMS API reference, PutKeyPolicy: a principal of a policy must exist, or the whole policy is refused."""
    for statement in properties["KeyPolicy"]["Statement"]:
        for principal in listed(statement["Principal"].get("AWS", [])):
            text = str(principal)
            if (statement["Effect"], text) == ("Deny", "*"):
                continue
            # full ARNs that the person who deploys looks up
            given = "KeyAdministratorArn" in text or "DocumentSignerRoleArn" in text
            assert given or ":root" in text, f"{template}.{key}: {text} may be missing in the account"


@pytest.mark.parametrize(("template", "key", "properties"), KEYS, ids=[f"{t}.{k}" for t, k, _ in KEYS])
def test_eventbridge_is_not_asked_for_what_it_does_not_send(
    template: str, key: str, properties: dict[str, Any]
) -> None:
    """Amazon SNS developer guide, "Enable compatibility between event sources from AWS services and encrypted topics":
    aws:SourceAccount, aws:SourceArn and aws:SourceOrgID are not supported in key policies for EventBridge."""
    for statement in properties["KeyPolicy"]["Statement"]:
        if "events.amazonaws.com" in listed(statement["Principal"].get("Service", [])):
            assert "aws:Source" not in str(statement.get("Condition", "")), f"{template}.{key}.{statement['Sid']}"


def test_a_bucket_that_receives_access_logs_has_no_object_lock() -> None:
    """Amazon S3 user guide, "Object Lock considerations": such a bucket cannot be a destination of server access logs."""
    receiving = [p for _, name, p in of_type("AWS::S3::Bucket") if name == "AccessLogBucket"]
    assert len(receiving) == 1 and "ObjectLockConfiguration" not in receiving[0]
    assert not receiving[0].get("ObjectLockEnabled")
    sources = [p for _, _, p in of_type("AWS::S3::Bucket") if "LoggingConfiguration" in p]
    assert len(sources) >= 5
    # nobody deletes the logs in place of the lock
    (policy,) = [p for _, name, p in of_type("AWS::S3::BucketPolicy") if name == "AccessLogBucketPolicy"]
    denied = [s for s in policy["PolicyDocument"]["Statement"] if s["Effect"] == "Deny" and s["Principal"] == "*"]
    # (but for the role of a removal, while there is one: test_least_privilege.py)
    assert {"s3:DeleteObject", "s3:DeleteObjectVersion"} <= {action for s in denied for action in listed(s["Action"])}


def test_dags_are_not_paused_when_they_are_deployed() -> None:
    """Airflow's default is paused (``core.dags_are_paused_at_creation``): findings would queue behind a paused DAG."""
    ((_, _, environment),) = of_type("AWS::MWAA::Environment")
    assert environment["AirflowConfigurationOptions"]["core.dags_are_paused_at_creation"] == "False"


def test_no_function_reserves_concurrency() -> None:
    """Lambda developer guide, "Configuring reserved concurrency": 100 executions (10 in new accounts) stay unreserved."""
    functions = of_type("AWS::Lambda::Function")
    assert functions and not [name for _, name, p in functions if "ReservedConcurrentExecutions" in p]


def test_what_needs_a_config_recorder_is_made_only_where_there_is_one() -> None:
    """AWS Config API reference, PutConfigRule: NoAvailableConfigurationRecorderException."""
    rules = [
        (name, resource)
        for name, template in ALL.items()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Config::ConfigRule"
    ]
    assert rules
    for name, rule in rules:
        assert "Condition" in rule, name


def test_stack_sets_are_called_as_the_account_that_they_are_deployed_to() -> None:
    """CloudFormation API reference, CreateStackSet: ``CallAs`` is SELF in the management account."""
    entries = yaml.safe_load(plan.ORDER.read_text("utf-8"))["stacks"]
    (entry,) = [e for e in entries if e.get("template") == "member-stackset"]
    assert entry["account"] == "management"
    assert ALL["member-stackset"]["Parameters"]["CallAs"]["Default"] == "SELF"
    for _, name, properties in of_type("AWS::CloudFormation::StackSet"):
        # an account that is moved to a quarantine unit in mid-case keeps the roles that contain and release it
        assert properties["AutoDeployment"]["RetainStacksOnAccountRemoval"] is True, name


def test_builds_run_on_instances_of_the_images_architecture() -> None:
    ((_, _, infrastructure),) = of_type("AWS::ImageBuilder::InfrastructureConfiguration")
    condition, arm, x86 = infrastructure["InstanceTypes"]["Fn::If"]
    assert condition == "IsArm" and all("g." in kind for kind in arm) and not any("g." in kind for kind in x86)


def endpoint_of(service: str) -> dict[str, Any]:
    found = [
        p for _, _, p in of_type("AWS::EC2::VPCEndpoint") if str(p["ServiceName"]).rstrip("'}").endswith(f".{service}")
    ]
    assert len(found) == 1, f"{service}: {len(found)} endpoints"
    return found[0]


def test_manifests_can_be_withdrawn_through_the_endpoint() -> None:
    """The execution role may delete manifests (execution-role.yaml, WithdrawManifests); Airflow's only way to S3 is the gateway endpoint."""
    statements = endpoint_of("s3")["PolicyDocument"]["Statement"]
    (deleting,) = [s for s in statements if allows(s, "s3:DeleteObject")]
    assert str(listed(deleting["Resource"])[0]).endswith("/manifest.txt'}"), "nothing but a manifest is ever deleted"


def test_descriptions_of_groups_and_rules_have_only_the_characters_that_ec2_takes() -> None:
    """EC2 API reference, CreateSecurityGroup and IpRange: a-z, A-Z, 0-9, spaces, and ._-:/()#,@[]+=&;{}!$* (no apostrophe)."""
    texts = [p["GroupDescription"] for _, _, p in of_type("AWS::EC2::SecurityGroup")]
    for kind in ("Ingress", "Egress"):
        rules = [r for _, _, p in of_type("AWS::EC2::SecurityGroup") for r in p.get(f"SecurityGroup{kind}", [])]
        texts += [r["Description"] for r in rules + [p for _, _, p in of_type(f"AWS::EC2::SecurityGroup{kind}")]]
    assert len(texts) > 12
    assert not [text for text in texts if not re.fullmatch(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}", text)]
