"""What an endpoint's policy says about a request, in AWS's words.

IAM user guide, "Troubleshoot access denied error messages", section "Access denied due to VPC endpoint policies"; recorded in public for
SSM (``… because no VPC endpoint policy allows the ssm:UpdateInstanceInformation action``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.s3.models import s3_backends

from lab.emulator.iam.policy import Request, decide
from lab.emulator.iam.sessions import ORGANIZATION, Session
from lab.emulator.network.routes import Path

# IAM prefix of a service's actions, where it differs from the name in the signature
_PREFIXES = {"monitoring": "cloudwatch"}


def is_about(service: str, request: Request) -> bool:
    """Whether a question is put to the endpoint's own service: keys are used behind it, by the service itself."""
    return request.action.startswith(f"{_PREFIXES.get(service, service)}:")


def owner_of(resource: str, account: str) -> str | None:
    """The account that owns what a request is about, or None when it is nobody's of this lab (AWS's own buckets)."""
    if resource.startswith("arn:aws:s3:::"):
        bucket = resource.removeprefix("arn:aws:s3:::").split("/")[0]
        backends = ((owner, b) for owner, regions in list(s3_backends.items()) for b in list(regions.values()))
        return next((owner for owner, backend in backends if bucket in backend.buckets), None)
    parts = resource.split(":")
    return parts[4] if len(parts) > 5 and parts[4] else account


def context(session: Session | None, account: str, request: Request, path: Path) -> dict[str, Any]:
    """The keys that a request has when it comes through an endpoint. A request without credentials has no principal."""
    owner = owner_of(request.resource, account)
    found = {
        "aws:SourceVpce": path.endpoint,
        "aws:SourceVpc": path.vpc,
        "aws:SecureTransport": "true",
        "aws:ResourceAccount": owner,
        "aws:ResourceOrgID": ORGANIZATION if owner else None,
        **request.context,
    }
    if session is not None:
        found |= {
            "aws:PrincipalArn": session.role_arn,
            "aws:PrincipalAccount": session.account,
            "aws:PrincipalOrgID": ORGANIZATION,
            "aws:SourceIdentity": session.source_identity or None,
            "aws:PrincipalIsAWSService": "false",
        }
    elif account != "anonymous":
        found |= {
            "aws:PrincipalArn": f"arn:aws:iam::{account}:root",
            "aws:PrincipalAccount": account,
            "aws:PrincipalOrgID": ORGANIZATION,
        }
    return found


def refusal(path: Path, session: Session | None, account: str, request: Request) -> str | None:
    """How AWS's message ends when the endpoint's policy does not let the request through; None when it does."""
    policy: Mapping[str, Any] = path.policy or {}
    full = Request(request.action, request.resource, context(session, account, request, path))
    names = [session.role_arn, session.arn, session.account] if session else [f"arn:aws:iam::{account}:root", account]
    decision = decide({path.endpoint: policy}, full, principals=names)
    if decision.allowed:
        return None
    if decision.by.startswith("explicit deny"):
        return "with an explicit deny in a VPC endpoint policy"
    return f"because no VPC endpoint policy allows the {request.action} action"
