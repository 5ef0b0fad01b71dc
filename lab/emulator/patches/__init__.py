"""What moto lacks or gets wrong for this project, patched at start; one module per service."""

from __future__ import annotations

import importlib

# in this order: later patches wrap what earlier ones have put in place
PATCHES = (
    "speed",
    "json_answers",
    "accounts",
    "sqs",
    "ec2_network",
    "ec2_instances",
    "ec2_launch_templates",
    "ec2_containment",
    "ec2_volumes",
    "ec2_snapshots",
    "ec2_sharing",
    "ec2_images",
    "ebs",
    "autoscaling",
    "imagebuilder",
    "ssm_documents",
    "ssm_fleet",
    "ssm",
    "ssm_views",
    "sts",
    "iam",
    "organizations",
    "cloudtrail",
    "cloudtrail_lake",
    "logs",
    "resolver",
    "bedrock",
    "account_state",
    "events",
    "securityhub",
    "finding_records",
    "sns",
    "kms",
    "kms_use",
    "kms_grants",
    "s3_owner",
    "s3",
    "s3_multipart",
    "dynamodb",
    "cloudformation",
)
_applied = False


def apply() -> None:
    """Patch moto in this process, once. Raises PatchError when moto is not the version the patches know."""
    global _applied
    if _applied:
        return
    from lab.emulator.patches import patching

    patching.check_version()
    for name in PATCHES:
        importlib.import_module(f"lab.emulator.patches.{name}").apply()
    _applied = True
