"""From a failed call to the line of the deployment file that opens its way. Pure but for the setting of the home Region."""

from __future__ import annotations

import re
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from forensics.aws.denials import Cause, cause_of
from forensics.aws.request_log import Asked
from forensics.errors import ConfigurationError
from forensics.settings import get_settings

# The person's own file (infra/deployment.example.yaml), in which each line below stands.
FILE = "deployment.yaml"
_ROLE = re.compile(r"arn:[a-z-]+:iam::(\d{12}):role/\S*?(triage|acquire|contain|release|findings|[a-z]+)(?=[\s.,;:]|$)")
_STACKS = {
    "triage": "forensics-member-roles",
    "acquire": "forensics-member-roles",
    "contain": "forensics-member-containment",
    "release": "forensics-member-containment",
    "findings": "forensics-security",
}
_HOST = re.compile(r"https?://([^/:]+)")


@dataclass(frozen=True)
class Remedy:
    """``path`` continues the message (empty, or beginning with a blank); ``next_action`` None is the error's own."""

    path: str = ""
    next_action: str | None = None


def of(error: ClientError | BotoCoreError, asked: Asked | None) -> Remedy:
    """What stood in the way of the call that was asked last, and what opens it."""
    cause = cause_of(error)
    call = f"{asked.service}:{asked.operation} in {asked.region}" if asked else "the call"
    if cause is Cause.UNREACHABLE:
        return _closed_way(error, asked)
    if asked and asked.operation == "AssumeRole" and cause is Cause.ROLE_POLICY:
        return _missing_role(error, call)
    texts = {
        Cause.ENDPOINT_POLICY: (
            f" (path: the VPC endpoint's policy refuses {call})",
            f"allow the action in the endpoint's policy (infra/cloudformation/endpoints.yaml) and deploy stack forensics-endpoints again;"
            f" parameters.OrganizationId in {FILE} has to be the organization of the caller and of the resource",
        ),
        Cause.EXPIRED: (
            f" (path: the credentials that sign {call} have ended)",
            f"clear the task: each try asks for new ones. When it stays, settings.aws_conn_id in {FILE} names a connection whose keys "
            "have ended; without it the identity is the execution role's, which MWAA renews: restart the environment",
        ),
        Cause.REGION: (
            f" (path: {call}; the account may not have this Region)",
            f"enable the Region in the account, or take it out of member_regions in {FILE} (parameters.MemberRegions with StackSets)",
        ),
        Cause.ORGANIZATION: (
            f" (path: a policy of the organization refuses {call})",
            "exempt the product's roles from that service control policy, as infra/cloudformation/organization-policies.yaml does; parameters.TargetIds in "
            f"{FILE} says where the product's own policies are attached",
        ),
    }
    return Remedy(*texts[cause]) if cause in texts else Remedy()


def _closed_way(error: ClientError | BotoCoreError, asked: Asked | None) -> Remedy:
    host = _HOST.search(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    if asked is None:
        return Remedy(next_action=_way_home(host[1] if host else "the endpoint named above"))
    path = f" (path: no way from Airflow's subnets to {asked.service} in {asked.region}, for {asked.operation})"
    if asked.service == "iam":
        return Remedy(
            path,
            f"parameters.Profile in {FILE} opens the way to IAM: standard and economy by the NAT gateway, closed by an endpoint; deploy "
            "stacks forensics-network and forensics-endpoints again. With a VPC of your own, give it one of the ways of "
            "docs/decisions/0012-reach.md",
        )
    if asked.service == "organizations":
        return Remedy(
            path,
            f"parameters.Profile in {FILE}: standard and economy open the way to AWS Organizations by the NAT gateway, closed has none; there, "
            "name accounts by account or account_group in the policy's scope instead of by tags",
        )
    home = _home()
    if not home or asked.region == home:
        return Remedy(path, _way_home(asked.service))
    return Remedy(
        path,
        f"add {asked.region} to member_regions in {FILE} (parameters.MemberRegions with StackSets), with parameters.Profile: standard or "
        "economy, and deploy stack forensics-network again; with a VPC of your own, give it a route and a name to that Region",
    )


def _way_home(service: str) -> str:
    return (
        f"open the network path to {service}: parameters.Profile in {FILE} decides which endpoints stack forensics-endpoints makes; deploy "
        "it and forensics-network again. With a VPC of your own (parameters.VpcId), add the endpoint with its private name"
    )


def _missing_role(error: ClientError | BotoCoreError, call: str) -> Remedy:
    found = _ROLE.search(str(error))
    if found is None:
        return Remedy(f" (path: {call})")
    account, phase = found.groups()
    stack = _STACKS.get(phase, "forensics-roles")
    return Remedy(
        f" (path: {call}; STS says the same when the role is missing, does not trust us, or asks for another external id)",
        f"deploy stack {stack} in account {account}: the account has to be in accounts.members in {FILE} (or in a unit of "
        "parameters.OrganizationalUnitIds); forensics.external_id has to be the one that the role's trust policy asks for",
    )


def _home() -> str:
    try:
        return get_settings().region
    except ConfigurationError:  # a process without the product's settings still says what AWS said
        return ""
