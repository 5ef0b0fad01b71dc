"""Which AWS calls the gateways make, read from their source, so that roles and code cannot drift apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

GATEWAYS = Path(__file__).resolve().parents[2] / "plugins" / "forensics" / "aws"
# The attribute a gateway keeps its client in → the service that IAM actions are prefixed with.
SERVICES = {
    "_ec2": "ec2", "_ebs": "ebs", "_ssm": "ssm", "_s3": "s3", "_kms": "kms", "_db": "dynamodb", "_sns": "sns", "_sqs": "sqs",
    "_sts": "sts", "_iam": "iam", "_autoscaling": "autoscaling", "_elb": "elasticloadbalancing", "_elbv2": "elasticloadbalancing",
    "_guardduty": "guardduty", "_securityhub": "securityhub", "_imagebuilder": "imagebuilder",
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
    "dynamodb:TransactWriteItems": "dynamodb:PutItem",
}
NOT_CALLS = {"get_paginator", "get_waiter", "generate_presigned_url", "exceptions", "meta"}


def action(service: str, method: str) -> str:
    """IAM action of a boto3 method."""
    named = f"{service}:{''.join(part.capitalize() for part in method.split('_'))}"
    return OTHER_NAMES.get(named, named)


def unknown_clients() -> list[str]:
    """Attributes that a gateway fills from a parameter called ``client`` and that :data:`SERVICES` does not know."""
    found = []
    for file in sorted(GATEWAYS.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Name)):
                continue
            target = node.targets[0]
            is_client = node.value.id in ("client", "kms", "ec2", "s3", "ssm", "clients")
            if is_client and isinstance(target, ast.Attribute) and target.attr not in SERVICES:
                found.append(f"{file.name}: self.{target.attr}")
    return found


def calls() -> dict[str, str]:
    """IAM action → the first place that calls it."""
    found: dict[str, str] = {"sts:AssumeRole": "session.py: assume"}
    for file in sorted(GATEWAYS.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for service, method in _of(node):
                found.setdefault(action(service, method), f"{file.name}:{node.lineno}")  # type: ignore[attr-defined]
    return found


def _of(node: ast.AST) -> Iterator[tuple[str, str]]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return
    holder = node.func.value
    if not (isinstance(holder, ast.Attribute) and holder.attr in SERVICES):
        return
    service, method = SERVICES[holder.attr], node.func.attr
    if method in ("get_paginator", "generate_presigned_url") and node.args:
        operation = node.args[0]
        if isinstance(operation, ast.Constant):
            yield service, str(operation.value)
    elif method not in NOT_CALLS:
        yield service, method
