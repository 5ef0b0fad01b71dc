"""How near each policy, document and template comes to what AWS takes: computed for the longest names that a deployment may have.

Quotas: IAM and AWS STS (role trust policy 2,048 and all inline policies of a role 10,240 characters without spaces), AWS KMS (key policy
32 KB), Amazon S3 (bucket policy 20 KB), Amazon SQS (attribute Policy, botocore's model of SetQueueAttributes; 8,192 bytes), Amazon SNS (topic policy 30 KB),
EventBridge (event bus policy 10,240, event pattern 2,048 characters), VPC endpoints (policy 20,480 characters), Organizations (service control
policy 5,120 characters), Systems Manager (document 64 KB), CloudFormation (template 1 MB, 500 resources, 200 parameters and outputs).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from infra.deployment import configuration, rendering, templates
from infra.deployment.configuration import Configuration

# Thirteen characters: forensics.deployment.FORM. The longest names of Regions have fourteen.
LONGEST_ID = "a" * 13
LONGEST_REGION = "ap-southeast-2"
QUOTAS = {
    "role: inline policies": 10_240, "role: trust policy": 2_048, "key policy": 32_768, "bucket policy": 20_480, "queue policy": 8_192,
    "topic policy": 30_720, "bus policy": 10_240, "event pattern": 2_048, "endpoint policy": 20_480, "service control policy": 5_120,
    "SSM document": 65_536, "template": 1_048_576, "resources of a template": 500, "parameters of a template": 200, "outputs of a template": 200,
}  # fmt: skip
_DOCUMENTS = {
    "AWS::KMS::Key": ("KeyPolicy", "key policy"), "AWS::S3::BucketPolicy": ("PolicyDocument", "bucket policy"),
    "AWS::SQS::QueuePolicy": ("PolicyDocument", "queue policy"), "AWS::SNS::TopicPolicy": ("PolicyDocument", "topic policy"),
    "AWS::Events::EventBusPolicy": ("Statement", "bus policy"), "AWS::Events::Rule": ("EventPattern", "event pattern"),
    "AWS::EC2::VPCEndpoint": ("PolicyDocument", "endpoint policy"), "AWS::Organizations::Policy": ("Content", "service control policy"),
    "AWS::SSM::Document": ("Content", "SSM document"),
}  # fmt: skip


@dataclass(frozen=True)
class Use:
    """How much of a quota one thing takes; ``where`` is stack and resource."""

    kind: str
    where: str
    size: int

    @property
    def share(self) -> float:
        """Part of the quota, 1.0 is all."""
        return self.size / QUOTAS[self.kind]

    def __str__(self) -> str:
        return f"{self.kind}: {self.where} takes {self.size:,} of {QUOTAS[self.kind]:,} ({self.share:.0%})"


def longest(config: Configuration) -> Configuration:
    """The configuration with the longest id and the longest Region."""
    parameters = {**config.parameters, "DeploymentId": LONGEST_ID}
    return replace(config, region=LONGEST_REGION, member_regions=(LONGEST_REGION,), parameters=parameters)


def uses(config: Configuration) -> Iterator[Use]:
    """Every use of every quota by what this configuration deploys."""
    for stack in rendering.render(config):
        for logical, resource in stack.resources.items():
            where = f"{stack.step.template}.{logical}"
            yield from _of_resource(where, resource.type, resource.properties)
    for name, body in templates.reading(config.deployment_id).items():
        yield Use("template", name, len(templates.text_of(name, config.deployment_id).encode()))
        for part in ("Resources", "Parameters", "Outputs"):
            yield Use(f"{part.lower()} of a template", name, len(body.get(part, {})))


def _of_resource(where: str, kind: str, given: Mapping[str, Any]) -> Iterator[Use]:
    if kind == "AWS::IAM::Role":
        yield Use("role: trust policy", where, _size(given["AssumeRolePolicyDocument"]))
        if policies := given.get("Policies"):
            yield Use("role: inline policies", where, sum(_size(p["PolicyDocument"]) for p in policies))
    elif kind in _DOCUMENTS:
        name, quota = _DOCUMENTS[kind]
        if name in given:
            yield Use(quota, where, _size(given[name]))


def _size(document: Any) -> int:
    """Bytes without spaces between words: what IAM counts, and CloudFormation sends. A logical id stands for an ARN of at most 140 characters."""
    if isinstance(document, str):
        return len(document.encode())
    return len(json.dumps(document, separators=(",", ":")).encode()) + 140 * _references(document)


def _references(value: Any) -> int:
    if isinstance(value, dict):
        return sum(_references(v) for v in value.values())
    if isinstance(value, list):
        return sum(_references(v) for v in value)
    return int(isinstance(value, str) and (value.endswith(".Arn") or value.startswith("made-")))


def example() -> list[Configuration]:
    """What is computed in `make lint-templates`: the example with everything that there is, by members and by StackSets."""
    read = configuration.read(templates.ROOT / "infra" / "deployment.example.yaml")
    built = {
        "BuildSubnetId": "subnet-0123456789abcdef0",
        "BuildSecurityGroupId": "sg-0123456789abcdef0",
        "TargetIds": ["r-ab12"],
        "WebhookSourceCidrs": ["192.0.2.0/24"],
    }
    parameters = {k: v for k, v in read.parameters.items() if k != "AmiId"} | built
    whole = longest(replace(read, parameters=parameters))
    units = {"OrganizationalUnitIds": ["ou-ab12-cdef3456"], "MemberRegions": [LONGEST_REGION]}
    return [whole, replace(whole, parameters={**whole.parameters, **units})]


def largest() -> dict[str, Use]:
    """The largest use of each quota."""
    found: dict[str, Use] = {}
    for config in example():
        for use in uses(config):
            if use.kind not in found or use.size > found[use.kind].size:
                found[use.kind] = use
    return found
