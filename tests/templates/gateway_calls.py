"""Which AWS calls the gateways make, read from their source, so that roles and code cannot drift apart."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from forensics.containment.call_runner import ALLOWED

GATEWAYS = Path(__file__).resolve().parents[2] / "plugins" / "forensics"
# The type of a client (mypy_boto3_*) → the service that IAM actions are prefixed with.
CLIENTS = {
    "AutoScalingClient": "autoscaling", "BedrockRuntimeClient": "bedrock", "CloudTrailClient": "cloudtrail", "CloudWatchClient": "cloudwatch", "CloudWatchLogsClient": "logs", "ConfigServiceClient": "config", "Route53ResolverClient": "route53resolver", "DynamoDBClient": "dynamodb", "EBSClient": "ebs", "EC2Client": "ec2", "ECSClient": "ecs",
    "ElasticLoadBalancingClient": "elasticloadbalancing", "ElasticLoadBalancingv2Client": "elasticloadbalancing",
    "GuardDutyClient": "guardduty", "IAMClient": "iam", "ImagebuilderClient": "imagebuilder", "KMSClient": "kms",
    "OrganizationsClient": "organizations",
    "S3Client": "s3", "SecretsManagerClient": "secretsmanager", "SNSClient": "sns", "SQSClient": "sqs", "SSMClient": "ssm", "STSClient": "sts",
    "SecurityHubClient": "securityhub",
}  # fmt: skip
# Where IAM's action is not the call's name (service authorization reference).
OTHER_NAMES = {
    "s3:CreateMultipartUpload": "s3:PutObject",
    "s3:UploadPart": "s3:PutObject",
    "s3:CompleteMultipartUpload": "s3:PutObject",
    "s3:HeadObject": "s3:GetObject",
    "s3:ListParts": "s3:ListMultipartUploadParts",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    # Security Hub API reference, GetFindingsV2 and BatchUpdateFindingsV2: the actions are those without V2
    "securityhub:GetFindingsV2": "securityhub:GetFindings",
    "securityhub:BatchUpdateFindingsV2": "securityhub:BatchUpdateFindings",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "dynamodb:TransactWriteItems": "dynamodb:PutItem",
    "dynamodb:TransactGetItems": "dynamodb:GetItem",
    "bedrock:Converse": "bedrock:InvokeModel",
}
# How boto3 names services that IAM names otherwise (forensics.containment.call_runner lists its calls by client).
BOTO_NAMES = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}
NOT_CALLS = {"get_paginator", "get_waiter", "generate_presigned_url", "exceptions", "meta"}


def action(service: str, method: str) -> str:
    """IAM action of a boto3 method."""
    named = f"{service}:{''.join(part.capitalize() for part in method.split('_'))}"
    return OTHER_NAMES.get(named, named)


def unknown_clients() -> list[str]:
    """Types of clients that the code imports and that :data:`CLIENTS` does not know."""
    found = []
    for file in sorted(GATEWAYS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mypy_boto3_"):
                found += [
                    f"{file.name}: {n.name}" for n in node.names if n.name.endswith("Client") and n.name not in CLIENTS
                ]
    return found


def calls() -> dict[str, str]:
    """IAM action → the first place that calls it."""
    found: dict[str, str] = {"sts:AssumeRole": "session.py: assume"}
    for service, operations in ALLOWED.items():
        for operation in operations:
            found[action(BOTO_NAMES.get(service, service), operation)] = "containment.py: ALLOWED"
    for file in sorted(GATEWAYS.rglob("*.py")):
        for service, method, line in _calls_in(ast.parse(file.read_text("utf-8")), clients={}):
            found.setdefault(action(service, method), f"{file.name}:{line}")
    return found


# Two clients have one prefix in IAM.
CLIENT_NAMES = {
    "BedrockRuntimeClient": "bedrock-runtime",
    "ElasticLoadBalancingClient": "elb",
    "ElasticLoadBalancingv2Client": "elbv2",
}


def operations() -> dict[tuple[str, str], str]:
    """(boto3's client, method) → the first place that calls it."""
    names = CLIENTS | CLIENT_NAMES
    found: dict[tuple[str, str], str] = {("sts", "assume_role"): "session.py: assume"}
    for service, methods in ALLOWED.items():
        found |= {(service, method): "call_runner.py: ALLOWED" for method in methods}
    for file in sorted(GATEWAYS.rglob("*.py")):
        for service, method, line in _calls_in(ast.parse(file.read_text("utf-8")), clients={}, names=names):
            found.setdefault((service, method), f"{file.name}:{line}")
    return found


def _calls_in(
    node: ast.AST, *, clients: dict[str, str], names: dict[str, str] = CLIENTS
) -> Iterator[tuple[str, str, int]]:
    """Service, method and line of each call on a client; ``clients`` are the names that hold one, by their annotation."""
    known = clients | (_held_by(node, names) if isinstance(node, ast.ClassDef) else {})
    known |= _arguments(node, names) if isinstance(node, ast.FunctionDef) else {}
    for child in ast.iter_child_nodes(node):
        known |= _local(child, known)
        yield from _calls_in(child, clients=known, names=names)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        service = known.get(ast.unparse(node.func.value), "")
        yield from ((service, method, node.lineno) for method in _methods(node.func.attr, node.args) if service)


def _local(node: ast.AST, known: dict[str, str]) -> dict[str, str]:
    """A local name for what a maker of clients returned: ``client = self._ec2(account, region)``."""
    if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
        return {}
    service = known.get(ast.unparse(node.value.func))
    return {ast.unparse(node.targets[0]): service} if service else {}


def _methods(method: str, arguments: list[ast.expr]) -> list[str]:
    if method in ("get_paginator", "generate_presigned_url") and arguments:
        return [str(arguments[0].value)] if isinstance(arguments[0], ast.Constant) else []
    return [] if method in NOT_CALLS else [method]


def _client(annotation: ast.expr | None, names: dict[str, str]) -> str | None:
    types = re.findall(r"\b\w+Client\b", ast.unparse(annotation)) if annotation else []
    return next((names[name] for name in types if name in names), None)


def _arguments(function: ast.FunctionDef, names: dict[str, str]) -> dict[str, str]:
    given = [*function.args.args, *function.args.kwonlyargs]
    return {a.arg: service for a in given if (service := _client(a.annotation, names))}


def _held_by(owner: ast.ClassDef, names: dict[str, str]) -> dict[str, str]:
    """Attributes of a class that hold a client, from the annotations of its fields and of ``__init__``."""
    held = {}
    for item in owner.body:
        if isinstance(item, ast.AnnAssign) and (service := _client(item.annotation, names)):
            held[f"self.{ast.unparse(item.target)}"] = service
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            given = _arguments(item, names)
            for line in ast.walk(item):
                if isinstance(line, ast.Assign) and isinstance(line.value, ast.Name) and line.value.id in given:
                    held[ast.unparse(line.targets[0])] = given[line.value.id]
    return held
