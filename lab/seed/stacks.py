"""The lab's accounts deployed as AWS would be: by the project's own templates and its own deployment program.

``LAB_DEPLOY=templates`` chooses this instead of :mod:`lab.seed.accounts`; every call of a role's session is then evaluated
against the templates' policies (:mod:`lab.emulator.iam`).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from infra.deployment import plan
from infra.deployment.configuration import Configuration
from infra.deployment.stacks import Deployment
from lab.accounts import FORENSIC_ACCOUNT, MANAGEMENT_ACCOUNT, MEMBER_ACCOUNT, REGION, SECURITY_ACCOUNT
from lab.emulator.iam.sessions import ORGANIZATION
from lab.seed.accounts import CAPTURE_TOOL, DOCUMENTS, Account

# The model that the role of summaries may ask, and its guardrail: the lab's Bedrock answers for every model.
SUMMARY = {"SummaryModel": "lab.summaries-v1:0", "SummaryGuardrailId": "labguard1"}
# What a deployer's configuration file would say about the lab (infra/deployment.example.yaml). No MWAA: Airflow runs beside the lab; no
# query API: moto has AppSync's names only.
PARAMETERS = {
    "OrganizationId": ORGANIZATION,
    "SecurityAccountId": SECURITY_ACCOUNT,
    "KeyAdministratorArn": f"arn:aws:iam::{FORENSIC_ACCOUNT}:role/KeyAdministrator",
    "ReleaseRoleArn": f"arn:aws:iam::{FORENSIC_ACCOUNT}:role/ReleasePipeline",
    "DocumentSignerRoleArn": f"arn:aws:iam::{FORENSIC_ACCOUNT}:role/DocumentSigner",
    "AlarmEmail": "alarms@forensics.invalid",
    "NoticeEmail": "soc@forensics.invalid",
    "NoMwaa": "yes",
    "NoQueryApi": "yes",
    **SUMMARY,
}


def deploy(endpoint: str, *, external_id: str) -> dict[str, Any]:
    """Deploy every stack of every account; returns their part of ``lab.json``: outputs by the names of settings."""
    forensic = Account(FORENSIC_ACCOUNT, endpoint)
    Account(SECURITY_ACCOUNT, endpoint).client("securityhub").enable_security_hub()
    image = _image(forensic)
    tool = CAPTURE_TOOL.read_bytes()
    outputs = carry_out(endpoint, AmiId=image, TargetIds=_organization_root(endpoint), external_id=external_id)
    forensic.client("s3").put_object(Bucket=outputs["tools_bucket"], Key="tools/avml", Body=tool)
    return {
        **outputs,
        "external_id": external_id,
        "forensic_ami_id": image,
        "capture_tool_sha256": hashlib.sha256(tool).hexdigest(),
        "documents": sorted(f"forensics-{file.stem}" for file in DOCUMENTS.glob("*_*.yaml")),
    }


def carry_out(endpoint: str, *, external_id: str, **parameters: str) -> dict[str, str]:
    """Every stack in every account by the deployment program; with ``DeploymentId`` a further deployment beside the first."""
    config = Configuration(
        region=REGION,
        accounts={
            "management": MANAGEMENT_ACCOUNT,
            "security": SECURITY_ACCOUNT,
            "forensic": FORENSIC_ACCOUNT,
            "members": [MEMBER_ACCOUNT],
        },
        parameters={**PARAMETERS, **_prefix_lists(Account(FORENSIC_ACCOUNT, endpoint)), **parameters},
        member_regions=(REGION,),
    )
    deployment = Deployment(
        clients=lambda account, _region, service: Account(account, endpoint).client(service),
        made={"ExternalId": external_id, "ExternalIdBefore": "", "ExternalIdSince": ""},
        report=lambda _line: None,
        # no release is uploaded in the lab, and its CloudFormation has no limit
        largest_inline=10_000_000,
        deployment_id=config.deployment_id,
    )
    for step in plan.steps(config):
        if not step.is_upload:
            deployment.apply(step)
    return {_setting(name): value for name, value in deployment.outputs.items()}


def _prefix_lists(account: Account) -> dict[str, str]:
    """AWS's own lists of the Region, which a deployer looks up."""
    names = {"S3PrefixListId": f"com.amazonaws.{REGION}.s3", "DynamoDbPrefixListId": f"com.amazonaws.{REGION}.dynamodb"}
    found = account.client("ec2").describe_managed_prefix_lists()["PrefixLists"]
    ids = {p["PrefixListName"]: p["PrefixListId"] for p in found}
    return {parameter: ids[name] for parameter, name in names.items()}


def _organization_root(endpoint: str) -> str:
    """The organization, with every lab account under its root, to which the service control policies are attached."""
    organizations = Account(MANAGEMENT_ACCOUNT, endpoint).client("organizations")
    organizations.create_organization(FeatureSet="ALL")
    # as GuardDuty's EnableOrganizationAdminAccount does
    organizations.register_delegated_administrator(
        AccountId=SECURITY_ACCOUNT, ServicePrincipal="guardduty.amazonaws.com"
    )
    root: str = organizations.list_roots()["Roots"][0]["Id"]
    return root


def _setting(output: str) -> str:
    """``CaseTable`` → ``case_table``: a stack's output and the product's setting have the same name."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", output).lower()


def _image(account: Account) -> str:
    image: str = account.client("ec2").register_image(
        Name="forensics-instance-lab",
        Description="forensic instance: toolkit and its tools",
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 16, "VolumeType": "gp3"}}],
    )["ImageId"]
    return image
