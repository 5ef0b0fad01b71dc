"""The session policy of a phase's role: what this one case needs of it, and no more. Pure.

A session may do what its role's policies and its session policy both allow (IAM user guide, "Session policies"). Interfaces and
volumes are not named here: who holds the target could add one after the session was made, and containment would then be refused.
"""

from __future__ import annotations

from forensics import partitions
from forensics.naming import instance_arn

# A policy document of IAM, as JSON
Policy = dict[str, object]

# What has no resource-level permissions (service authorization reference): a statement with NotResource may not be about it.
UNBOUND = (
    "ec2:Describe*", "autoscaling:Describe*", "elasticloadbalancing:Describe*", "ssm:Describe*", "ssm:Get*", "ssm:List*",
    "ssm:CancelCommand", "iam:ListAccountAliases",
)  # fmt: skip


def session_policy(*, account_id: str, region: str, instance_id: str) -> Policy:
    """Only in this Region, and of all instances only this one; without an id only the Region is pinned.

    With the id of a snapshot or an image it is no instance at all: the case of an artifact may not touch any.

    IAM and Organizations have one control plane for all Regions of a partition: their calls are requests of that Region.
    """
    partition = partitions.of(region)
    regions = sorted({region, partition.iam_region, partition.organizations_region})
    here = {"StringEquals": {"aws:RequestedRegion": regions}}
    if not instance_id:
        return _policy({"Sid": "Here", "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": here})
    target = instance_arn(account_id, region, instance_id)
    this: Policy = {"Sid": "ThisInstance", "Effect": "Allow", "Action": "*", "Resource": target}
    others = partitions.any_region_arn("ec2", "instance/*", region=region)
    return _policy(
        {"Sid": "Look", "Effect": "Allow", "Action": list(UNBOUND), "Resource": "*", "Condition": here},
        {"Sid": "NoInstance", "Effect": "Allow", "Action": "*", "NotResource": others, "Condition": here},
        *([this] if instance_id.startswith("i-") else []),
    )


def _policy(*statements: dict[str, object]) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}
