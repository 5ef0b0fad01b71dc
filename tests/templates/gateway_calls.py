"""Which AWS calls the gateways make, read from their source, so that roles and code cannot drift apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from forensics.containment.call_runner import ALLOWED

GATEWAYS = Path(__file__).resolve().parents[2] / "plugins" / "forensics"
# The attribute a gateway keeps its client in → the service that IAM actions are prefixed with.
SERVICES = {
    "_ec2": "ec2", "_ebs": "ebs", "_ssm": "ssm", "_s3": "s3", "_kms": "kms", "_db": "dynamodb", "_sns": "sns", "_sqs": "sqs",
    "_sts": "sts", "_iam": "iam", "_autoscaling": "autoscaling", "_elb": "elasticloadbalancing", "_elbv2": "elasticloadbalancing",
    "_guardduty": "guardduty", "_securityhub": "securityhub", "_imagebuilder": "imagebuilder", "_hub": "securityhub",
    "_classic": "elasticloadbalancing", "_current": "elasticloadbalancing",
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
}
# A gateway whose attribute is called just ``_client``.
UNNAMED = {"autoscaling.py": "autoscaling"}
# How boto3 names services that IAM names otherwise (forensics.containment.call_runner lists its calls by client).
BOTO_NAMES = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing"}
NOT_CALLS = {"get_paginator", "get_waiter", "generate_presigned_url", "exceptions", "meta"}


def action(service: str, method: str) -> str:
    """IAM action of a boto3 method."""
    named = f"{service}:{''.join(part.capitalize() for part in method.split('_'))}"
    return OTHER_NAMES.get(named, named)


def _service(attribute: str, file: Path) -> str:
    return UNNAMED.get(file.name, "") if attribute == "_client" else SERVICES.get(attribute, "")


def unknown_clients() -> list[str]:
    """Attributes that a gateway fills from a parameter called ``client`` and that :data:`SERVICES` does not know."""
    found = []
    for file in sorted(GATEWAYS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)):
                continue
            target = node.targets[0]
            is_client = node.value.id in (
                "client",
                "kms",
                "s3",
                "ssm",
                "classic",
                "current",
            )
            if is_client and isinstance(target, ast.Attribute) and not _service(target.attr, file):
                found.append(f"{file.name}: self.{target.attr}")
    return found


def calls() -> dict[str, str]:
    """IAM action → the first place that calls it."""
    found: dict[str, str] = {"sts:AssumeRole": "session.py: assume"}
    for service, operations in ALLOWED.items():
        for operation in operations:
            found[action(BOTO_NAMES.get(service, service), operation)] = "containment.py: ALLOWED"
    for file in sorted(GATEWAYS.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for service, method in _of(node, file):
                found.setdefault(action(service, method), f"{file.name}:{node.lineno}")  # type: ignore[attr-defined]
    return found


def _of(node: ast.AST, file: Path) -> Iterator[tuple[str, str]]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return
    holder, method = node.func.value, node.func.attr
    if isinstance(holder, ast.Name) and file.name == "instance_resolver.py" and holder.id == "client":
        service = "ec2"
    else:
        service = _service(holder.attr, file) if isinstance(holder, ast.Attribute) else ""
    if not service:
        return
    if method in ("get_paginator", "generate_presigned_url") and node.args:
        operation = node.args[0]
        if isinstance(operation, ast.Constant):
            yield service, str(operation.value)
    elif method not in NOT_CALLS:
        yield service, method
