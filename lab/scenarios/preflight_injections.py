"""What is done to a deployment in the lab, as its accounts' administrators would do it; each returns how it is undone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from forensics.settings import PREFIX
from lab.accounts import FORENSIC_ACCOUNT
from lab.scenarios.preflight_lab import Deployment, refresh

Undo = Callable[[], object]
Inject = Callable[[Deployment], Undo]


def both(*steps: Undo) -> Undo:
    """One after the other."""
    return lambda: [step() for step in steps]


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


# ---------------------------------------------------------------------- roles
def trust(role: str, account: str, change: Callable[[dict[str, Any]], None]) -> Inject:
    """Change the trust policy of a role."""

    def inject(lab: Deployment) -> Undo:
        iam = lab.client("iam", account)
        before = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
        changed = json.loads(_text(before))
        change(changed["Statement"][0])
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(changed))
        return lambda: iam.update_assume_role_policy(RoleName=role, PolicyDocument=_text(before))

    return inject


def other_external_id(statement: dict[str, Any]) -> None:
    """The external id of another deployment."""
    statement["Condition"]["StringEquals"]["sts:ExternalId"] = "the-one-of-another-deployment"


def other_orchestrator(statement: dict[str, Any]) -> None:
    """Another role of the forensic account is trusted."""
    statement["Condition"]["ArnEquals"]["aws:PrincipalArn"] = f"arn:aws:iam::{FORENSIC_ACCOUNT}:role/old-execution"


def other_account(statement: dict[str, Any]) -> None:
    """Another account is trusted."""
    statement["Principal"] = {"AWS": "arn:aws:iam::999988887777:root"}


def no_source_identity(statement: dict[str, Any]) -> None:
    """The role takes no source identity."""
    statement["Action"] = ["sts:AssumeRole"]


def other_source_identity(statement: dict[str, Any]) -> None:
    """Source identities of another form are expected."""
    statement["Condition"]["StringLike"]["sts:SourceIdentity"] = "case-*"


def missing_role(role: str, account: str) -> Inject:
    """Delete a role."""

    def inject(lab: Deployment) -> Undo:
        iam = lab.client("iam", account)
        trusted = _text(iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"])
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        kept = {n: _text(iam.get_role_policy(RoleName=role, PolicyName=n)["PolicyDocument"]) for n in names}
        for name in kept:
            iam.delete_role_policy(RoleName=role, PolicyName=name)
        iam.delete_role(RoleName=role)

        def undo() -> None:
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusted)
            for name, text in kept.items():
                iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=text)

        return undo

    return inject


def without(role: str, account: str, action: str, *, resource: str = "") -> Inject:
    """Take one action from a role's policies (of the statements on ``resource`` only, where it is given)."""

    def inject(lab: Deployment) -> Undo:
        iam, stack = lab.client("iam", account), ExitStack()
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            before = _text(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])
            changed = json.loads(before)
            for statement in changed["Statement"]:
                listed = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
                if resource in json.dumps(statement["Resource"]):
                    statement["Action"] = [a for a in listed if a != action] or ["none:Nothing"]
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(changed))
            stack.callback(iam.put_role_policy, RoleName=role, PolicyName=name, PolicyDocument=before)
        return stack.close

    return inject


# ---------------------------------------------------------------------- documents, keys
def changed_document(name: str, account: str) -> Inject:
    """Another content under a document's name, in every version: an older one with the right content would still be sent by its number."""

    def inject(lab: Deployment) -> Undo:
        ssm = lab.client("ssm", account)
        content = ssm.get_document(Name=name, DocumentFormat="YAML")["Content"]

        def put(text: str) -> None:
            ssm.delete_document(Name=name)
            ssm.create_document(Name=name, Content=text, DocumentType="Command", DocumentFormat="YAML")

        put(content + "\n# edited in the console\n")
        return lambda: put(content)

    return inject


def missing_document(name: str, account: str) -> Inject:
    """Delete a document."""

    def inject(lab: Deployment) -> Undo:
        ssm = lab.client("ssm", account)
        content = ssm.get_document(Name=name, DocumentFormat="YAML")["Content"]
        ssm.delete_document(Name=name)
        return lambda: ssm.create_document(Name=name, Content=content, DocumentType="Command", DocumentFormat="YAML")

    return inject


def disabled_key(name: str, account: str = "forensic") -> Inject:
    """Disable a key (by a fact's name, or by its alias)."""

    def inject(lab: Deployment) -> Undo:
        kms = lab.client("kms", account)
        key = kms.describe_key(KeyId=lab.facts.get(name, name))["KeyMetadata"]["KeyId"]
        kms.disable_key(KeyId=key)
        return lambda: kms.enable_key(KeyId=key)

    return inject


def doomed_key(alias: str, account: str) -> Inject:
    """Schedule a key's deletion."""

    def inject(lab: Deployment) -> Undo:
        kms = lab.client("kms", account)
        key = kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
        kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)

        def undo() -> None:
            kms.cancel_key_deletion(KeyId=key)
            kms.enable_key(KeyId=key)

        return undo

    return inject


def missing_alias(alias: str, account: str) -> Inject:
    """Delete an alias."""

    def inject(lab: Deployment) -> Undo:
        kms = lab.client("kms", account)
        key = kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
        kms.delete_alias(AliasName=alias)
        return lambda: kms.create_alias(AliasName=alias, TargetKeyId=key)

    return inject


def key_policy(name: str, sid: str) -> Inject:
    """Take a statement from a key's policy."""

    def inject(lab: Deployment) -> Undo:
        kms = lab.client("kms")
        key = lab.facts[name].rpartition("/")[2]
        before = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
        changed = json.loads(before)
        kept = [s for s in changed["Statement"] if s["Sid"] != sid]
        assert len(kept) < len(changed["Statement"]), f"{name} has no statement {sid}"
        changed["Statement"] = kept
        kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(changed))
        return lambda: kms.put_key_policy(KeyId=key, PolicyName="default", Policy=before)

    return inject


# ---------------------------------------------------------------------- buckets
def bucket_denies(fact: str, action: str) -> Inject:
    """Add a statement that denies an action to a bucket's policy."""

    def inject(lab: Deployment) -> Undo:
        s3, bucket = lab.client("s3"), lab.facts[fact]
        before = s3.get_bucket_policy(Bucket=bucket)["Policy"]
        changed = json.loads(before)
        deny = {
            "Sid": "Lockdown", "Effect": "Deny", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{bucket}/*",
            "Condition": {"StringNotEquals": {"aws:PrincipalAccount": "000000000000"}},
        }  # fmt: skip
        changed["Statement"].append(deny)
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(changed))
        return lambda: s3.put_bucket_policy(Bucket=bucket, Policy=before)

    return inject


def setting(name: str, value: Callable[[Deployment], str]) -> Inject:
    """The product is configured with something that is not there, or not what it should be."""

    def inject(lab: Deployment) -> Undo:
        variable = f"{PREFIX}{name.upper()}"
        before = os.environ[variable]
        os.environ[variable] = value(lab)
        refresh()

        def undo() -> None:
            os.environ[variable] = before
            refresh()

        return undo

    return inject


def plain_bucket(lab: Deployment) -> str:
    """Name of a bucket without Object Lock that the custodian may write."""
    s3, name = lab.client("s3"), "forensics-without-object-lock"
    if name not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": lab.facts["region"]})
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        # the role may write there as to the true one
        iam = lab.client("iam")
        everything = [{"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}*"}]
        for role in ("forensics-custodian", "forensics-reader"):
            text = json.dumps({"Version": "2012-10-17", "Statement": everything})
            iam.put_role_policy(RoleName=role, PolicyName="plain", PolicyDocument=text)
    return name


def missing_object(key: str) -> Inject:
    """Delete a tool."""

    def inject(lab: Deployment) -> Undo:
        s3, bucket = lab.client("s3"), lab.facts["tools_bucket"]
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        s3.delete_object(Bucket=bucket, Key=key)
        return lambda: s3.put_object(Bucket=bucket, Key=key, Body=body)

    return inject


def changed_object(key: str) -> Inject:
    """Another tool under the same name."""

    def inject(lab: Deployment) -> Undo:
        s3, bucket = lab.client("s3"), lab.facts["tools_bucket"]
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        s3.put_object(Bucket=bucket, Key=key, Body=body + b"#")
        return lambda: s3.put_object(Bucket=bucket, Key=key, Body=body)

    return inject


def missing_parameter(lab: Deployment) -> Undo:
    """Delete the parameter of the forensic AMI."""
    ssm, name = lab.client("ssm"), lab.facts["ami_parameter"]
    value = ssm.get_parameter(Name=name)["Parameter"]["Value"]
    ssm.delete_parameter(Name=name)
    return lambda: ssm.put_parameter(Name=name, Value=value, Type="String")


# ---------------------------------------------------------------------- the way of findings
def no_subscription(lab: Deployment) -> Undo:
    """Nobody listens to the milestones."""
    sns, arn = lab.client("sns"), lab.facts["topic_arn"]
    for item in sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]:
        sns.unsubscribe(SubscriptionArn=item["SubscriptionArn"])
    return lambda: sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="soc@forensics.invalid")


def disabled_rule(account: str, bus: str) -> Inject:
    """Disable the rule that passes the test event on."""

    def inject(lab: Deployment) -> Undo:
        events = lab.client("events", account)
        events.disable_rule(Name="forensics-preflight", EventBusName=bus)
        lab.heartbeat()
        return both(lambda: events.enable_rule(Name="forensics-preflight", EventBusName=bus), lab.heartbeat)

    return inject


def queue_without_policy(lab: Deployment) -> Undo:
    """The findings queue lets nobody send."""
    sqs, url = lab.client("sqs"), lab.facts["queue_url"]
    before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": []})}
    )
    lab.heartbeat()
    return both(lambda: sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": before}), lab.heartbeat)


def bus_without_policy(lab: Deployment) -> Undo:
    """The forensic bus lets no other account put events."""
    events, bus = lab.client("events"), "forensics"
    before = json.loads(events.describe_event_bus(Name=bus)["Policy"])
    events.remove_permission(EventBusName=bus, RemoveAllPermissions=True)
    lab.heartbeat()
    return both(lambda: events.put_permission(EventBusName=bus, Policy=json.dumps(before)), lab.heartbeat)


def message_key_without_eventbridge(lab: Deployment) -> Undo:
    """EventBridge may not use the queue's key."""
    undo = key_policy("message_key_arn", "EventBridgeDelivers")(lab)
    lab.heartbeat()
    return both(undo, lab.heartbeat)


def intake_stands_still(lab: Deployment) -> Undo:
    """finding_intake is paused: the test event waits in the queue."""
    lab.heartbeat(taken=False)
    return lab.intake


# ---------------------------------------------------------------------- the network, the organization
def network(kind: str, service: str, action: str = "") -> Inject:
    """A fault of the network: ``no-path`` to a service, or an endpoint's policy without (``no-action``) or against an action."""

    def inject(lab: Deployment) -> Undo:
        lab.control("network", {"faults": [{"kind": kind, "service": service, "action": action}]})
        return lambda: lab.control("network", {"faults": []})

    return inject


def organization_denies(*actions: str) -> Inject:
    """A service control policy of the organization's own."""

    def inject(lab: Deployment) -> Undo:
        statement = {"Sid": "Guardrail", "Effect": "Deny", "Action": list(actions), "Resource": "*"}
        lab.control("service-control-policies", {"guardrails": {"Version": "2012-10-17", "Statement": [statement]}})
        return lambda: lab.control("service-control-policies", {})

    return inject


def closed_endpoints(lab: Deployment) -> Undo:
    """The endpoints' security group lets nobody in."""
    ec2, group = lab.client("ec2"), lab.facts["endpoint_security_group_id"]
    rules = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=rules)
    return lambda: ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
