"""The committed templates of the network, made in an account of the lab, as they are or as they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from infra.deployment import templates
from lab.emulator.cloudformation.engine import Stack
from lab.emulator.iam.sessions import ORGANIZATION
from lab.emulator.network.places import ANALYSIS, CONTROL, Place

Clients = Callable[[str], Any]
Body = dict[str, Any]
# S3's endpoint until November 2026: what follows every capture and tool run, withdrawing its manifest, was not among the actions.
YESTERDAY_S3 = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "OwnOrganization", "Effect": "Allow", "Principal": "*", "Resource": "*",
            "Action": ["s3:GetObject*", "s3:PutObject*", "s3:List*", "s3:AbortMultipartUpload", "s3:GetBucket*", "s3:GetEncryptionConfiguration"],
            "Condition": {"StringEquals": {"aws:ResourceOrgID": ORGANIZATION, "aws:PrincipalOrgID": ORGANIZATION}},
        }
    ],
}  # fmt: skip
KEY = "arn:aws:kms:eu-central-1:222233334444:key/11111111-2222-3333-4444-555555555555"


@dataclass(frozen=True)
class Deployed:
    """What the stacks made."""

    outputs: dict[str, str]
    account: str
    region: str

    def place(self, name: str) -> Place:
        """Airflow's subnets, or the forensic instances'."""
        of = self.outputs
        if name == CONTROL:
            subnets = (of["ControlSubnetIdA"], of["ControlSubnetIdB"])
            return Place(CONTROL, self.account, self.region, subnets, (of["MwaaSecurityGroupId"],))
        return Place(
            ANALYSIS, self.account, self.region, (of["AnalysisSubnetId"],), (of["AnalysisSecurityGroupId"],), "i-1"
        )


def body(name: str) -> Body:
    """A committed template."""
    found: Body = templates.committed()[name]
    return found


def endpoints_for(*services: str) -> Body:
    """The endpoints' template with only these services; keeps deployments short."""
    found = body("endpoints")
    kept = {
        logical: resource
        for logical, resource in found["Resources"].items()
        if any(str(resource["Properties"]["ServiceName"]).rstrip("'}").endswith(f".{s}") for s in services)
    }
    return {**found, "Resources": kept, "Outputs": {}}


def make(
    clients: Clients,
    account: str,
    region: str,
    *,
    profile: str = "closed",
    over_http: bool = False,
    more: dict[str, str] | None = None,
    **bodies: Body,
) -> Deployed:
    """Make stacks in order, each with the outputs of those before as its parameters; over HTTP by the lab's CloudFormation."""
    known = {
        "LogKeyArn": KEY,
        "OrganizationId": ORGANIZATION,
        "Profile": profile,
        **_prefix_lists(clients, region),
        **(more or {}),
    }
    for name, template in bodies.items():
        declared = template.get("Parameters", {})
        given = {p: v for p, v in known.items() if p in declared}
        known |= (_asked if over_http else _in_this_process)(
            clients, account, region, f"forensics-{name}", yaml.safe_dump(template), given
        )
    return Deployed(known, account, region)


def _in_this_process(
    clients: Clients, account: str, region: str, name: str, text: str, given: dict[str, str]
) -> dict[str, str]:
    stack = Stack(name=name, account=account, region=region, text=text, parameters=given)
    stack.create(clients)
    return stack.outputs


def _asked(
    clients: Clients, _account: str, _region: str, name: str, text: str, given: dict[str, str]
) -> dict[str, str]:
    cloudformation = clients("cloudformation")
    parameters = [{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()]
    cloudformation.create_stack(StackName=name, TemplateBody=text, Parameters=parameters)
    (stack,) = cloudformation.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE", stack.get("StackStatusReason")
    return {o["OutputKey"]: o["OutputValue"] for o in stack["Outputs"]}


def _prefix_lists(clients: Clients, region: str) -> dict[str, str]:
    found = clients("ec2").describe_managed_prefix_lists()["PrefixLists"]
    ids = {p["PrefixListName"]: p["PrefixListId"] for p in found}
    return {
        "S3PrefixListId": ids[f"com.amazonaws.{region}.s3"],
        "DynamoDbPrefixListId": ids[f"com.amazonaws.{region}.dynamodb"],
    }
