"""Authorizations of services with few calls: which resource each names (service authorization reference of each service)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from moto.autoscaling.models import autoscaling_backends
from moto.ec2.models import ec2_backends
from moto.logs.models import logs_backends

from lab.accounts import MANAGEMENT_ACCOUNT
from lab.emulator.iam import keys
from lab.emulator.iam.policy import Request
from lab.emulator.iam.sessions import ORGANIZATION
from lab.emulator.patches import cloudtrail_lake as lake


def anything(given: Any) -> Iterator[Request]:
    """A service without rules of its own here: the action on every resource."""
    yield Request(f"{given.service}:{given.action}", "*")


def bedrock(given: Any) -> Iterator[Request]:
    """Converse asks for InvokeModel on the model (Bedrock API reference, *Converse*), in a Region of which it has no account, and for
    ApplyGuardrail where it names one (Bedrock user guide, *Set up permissions to use Amazon Bedrock Guardrails*)."""
    model = given.path.removeprefix("/model/").partition("/")[0] or "*"
    yield Request("bedrock:InvokeModel", f"arn:aws:bedrock:{given.region}::foundation-model/{model}")
    if guardrail := (given.document.get("guardrailConfig") or {}).get("guardrailIdentifier"):
        yield Request("bedrock:ApplyGuardrail", given.arn("bedrock", f"guardrail/{guardrail}"))


def cloudwatch(given: Any) -> Iterator[Request]:
    """Metrics have no resource; their namespace is a condition (service authorization reference, Amazon CloudWatch)."""
    namespace = given.query.get("Namespace") or given.document.get("Namespace")
    yield Request(f"cloudwatch:{given.action}", "*", {"cloudwatch:namespace": namespace})


def cloudtrail(given: Any) -> Iterator[Request]:
    """The state of a trail is asked of the trail, a query of its event data store; lists and look-ups have no resource (service
    authorization reference, CloudTrail)."""
    document, resource = given.document, "*"
    if given.action == "GetTrailStatus":
        name = str(document.get("Name", ""))
        resource = name if name.startswith("arn:") else given.arn("cloudtrail", f"trail/{name}")
    elif given.action == "StartQuery":
        resource = lake.store_in(str(document.get("QueryStatement", ""))) or "*"
    elif given.action in {"DescribeQuery", "GetQueryResults", "CancelQuery"}:
        resource = lake.store_of(str(document.get("QueryId", ""))) or "*"
    elif given.action == "GetEventDataStore":
        resource = str(document.get("EventDataStore", "*"))
    context = {"aws:ResourceOrgID": ORGANIZATION} if ":eventdatastore/" in resource else {}
    yield Request(f"cloudtrail:{given.action}", resource, context)


def logs(given: Any) -> Iterator[Request]:
    """A log group with its tags (service authorization reference, Amazon CloudWatch Logs)."""
    name = str(given.document.get("logGroupName", ""))
    group = logs_backends[given.account][given.region].groups.get(name)
    tags = {f"aws:ResourceTag/{k}": v for k, v in (getattr(group, "tags", None) or {}).items()}
    yield Request(f"logs:{given.action}", given.arn("logs", f"log-group:{name}") if name else "*", tags)


def resolver(given: Any) -> Iterator[Request]:
    """A configuration of query logging by its id; lists have no resource (service authorization reference, Route 53 Resolver)."""
    name = str(given.document.get("ResolverQueryLogConfigId", ""))
    arn = given.arn("route53resolver", f"resolver-query-log-config/{name}")
    yield Request(f"route53resolver:{given.action}", arn if name and given.action.startswith("Get") else "*")


def ebs(given: Any) -> Iterator[Request]:
    """EBS direct APIs: the snapshot, and its key in the caller's name when it is encrypted."""
    match = re.search(r"snap-[0-9a-f]+", given.path)
    if match is None:
        yield from anything(given)
        return
    backend = ec2_backends[given.account][given.region]
    tags = {f"aws:ResourceTag/{k}": v for k, v in backend.tags.get(match[0], {}).items()}
    yield Request(f"ebs:{given.action}", f"arn:aws:ec2:{given.region}::snapshot/{match[0]}", tags)
    key = str(getattr(backend.snapshots.get(match[0]), "kms_key_id", None) or "")
    if given.action == "GetSnapshotBlock" and key.startswith("arn:"):
        yield keys.request("kms:Decrypt", key, via=f"ebs.{given.region}")


def autoscaling(given: Any) -> Iterator[Request]:
    """Changes name their group; looking has no resource."""
    name = given.query.get("AutoScalingGroupName", "")
    found = autoscaling_backends[given.account][given.region].autoscaling_groups.get(name)
    looks = given.action.startswith("Describe")
    yield Request(f"autoscaling:{given.action}", "*" if looks or found is None else str(found.arn))


def balancing(given: Any) -> Iterator[Request]:
    """Both generations of load balancers have one service prefix."""
    resource = "*"
    if not given.action.startswith("Describe"):
        classic = given.arn("elasticloadbalancing", f"loadbalancer/{given.query.get('LoadBalancerName', '*')}")
        resource = given.query.get("TargetGroupArn", classic)
    yield Request(f"elasticloadbalancing:{given.action}", resource)


def iam(given: Any) -> Iterator[Request]:
    """Roles, else instance profiles."""
    if "PolicySourceArn" in given.query:
        yield Request(f"iam:{given.action}", given.query["PolicySourceArn"])
        return
    if "PolicyArn" in given.query and given.action.startswith("GetPolicy"):
        yield Request(f"iam:{given.action}", given.query["PolicyArn"])
        return
    if given.action == "GenerateServiceLastAccessedDetails":
        yield Request(f"iam:{given.action}", given.query["Arn"])
        return
    role, profile = given.query.get("RoleName"), given.query.get("InstanceProfileName")
    kind = f"role/{role}" if role else f"instance-profile/{profile}" if profile else ""
    yield Request(f"iam:{given.action}", given.arn("iam", kind, region=False) if kind else "*")


def ecs(given: Any) -> Iterator[Request]:
    """Tasks and container instances of a cluster (service authorization reference, Amazon ECS)."""
    cluster = str(given.document.get("cluster", "default")).rpartition("/")[2]
    kinds = {
        "DescribeTasks": ("task", "tasks"),
        "DescribeContainerInstances": ("container-instance", "containerInstances"),
    }
    if given.action not in kinds:
        yield from anything(given)
        return
    kind, names = kinds[given.action]
    for name in given.document.get(names, []):
        yield Request(f"ecs:{given.action}", given.arn("ecs", f"{kind}/{cluster}/{name.rpartition('/')[2]}"))


def organizations(given: Any) -> Iterator[Request]:
    """An account, a unit or the root; the tags that a request puts or takes away are a condition."""
    named = given.document.get("ResourceId") or given.document.get("ChildId")
    if named is None:
        yield from anything(given)
        return
    kind = "account" if re.fullmatch(r"\d{12}", named) else "root" if named.startswith("r-") else "ou"
    keys_of_tags = given.document.get("TagKeys") or [tag["Key"] for tag in given.document.get("Tags", [])]
    resource = f"arn:aws:organizations::{MANAGEMENT_ACCOUNT}:{kind}/{ORGANIZATION}/{named}"
    yield Request(f"organizations:{given.action}", resource, {"aws:TagKeys": keys_of_tags} if keys_of_tags else {})


def securityhub(given: Any) -> Iterator[Request]:
    """Findings belong to the hub of the account; calls of the new one have the actions of the old (API reference)."""
    hub = "hubv2/default" if given.action.endswith("V2") else "hub/default"
    yield Request(f"securityhub:{given.action.removesuffix('V2')}", given.arn("securityhub", hub))


def guardduty(given: Any) -> Iterator[Request]:
    """Everything but listing detectors is about one of them."""
    match = re.match(r"/detector/([^/]+)", given.path)
    yield Request(f"guardduty:{given.action}", given.arn("guardduty", f"detector/{match[1]}") if match else "*")


def imagebuilder(given: Any) -> Iterator[Request]:
    """Calls name their resource by its ARN."""
    named = [str(v) for n, v in (given.document | given.query).items() if n.endswith("Arn")]
    yield Request(f"imagebuilder:{given.action}", unquote(named[0]) if named else "*")
