"""IAM: what a role may do, who may assume it, and when it, its services and access keys were last used. Nothing is changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

# A report of last use is made within seconds (IAM API reference, *GenerateServiceLastAccessedDetails*).
PAUSE_SECONDS, MOST_PAUSES = 1.0, 20


class IamStateGateway:
    """IAM's answers in one account, as it gave them. ``pause`` is the time between two looks at a report, in seconds."""

    def __init__(self, client: IAMClient, *, account_id: str, pause: float = PAUSE_SECONDS) -> None:
        self._iam = client
        self._pause = pause
        self._where = f"in account {account_id}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account."""
        return cls(session.iam, account_id=session.account_id)

    def profile(self, name: str) -> dict[str, Any]:
        """The instance profile with its role (GetInstanceProfile)."""
        with aws_errors(f"read instance profile {name} {self._where}"):
            return dict(self._iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"])

    def role(self, name: str) -> dict[str, Any]:
        """The role with its trust policy, boundary and last use (GetRole)."""
        with aws_errors(f"read role {name} {self._where}"):
            return dict(self._iam.get_role(RoleName=name)["Role"])

    def attached(self, role: str) -> list[dict[str, Any]]:
        """The managed policies of a role with the text that counts (ListAttachedRolePolicies, GetPolicy, GetPolicyVersion)."""
        found = []
        with aws_errors(f"read the managed policies of role {role} {self._where}"):
            pages = self._iam.get_paginator("list_attached_role_policies").paginate(RoleName=role)
            arns = [p["PolicyArn"] for page in pages for p in page["AttachedPolicies"] if "PolicyArn" in p]
            for arn in arns:
                policy = dict(self._iam.get_policy(PolicyArn=arn)["Policy"])
                version = str(policy.get("DefaultVersionId", ""))
                text = self._iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
                found.append({**policy, "Document": text.get("Document")})
        return found

    def inline(self, role: str) -> list[dict[str, Any]]:
        """The inline policies of a role (ListRolePolicies, GetRolePolicy)."""
        with aws_errors(f"read the inline policies of role {role} {self._where}"):
            pages = self._iam.get_paginator("list_role_policies").paginate(RoleName=role)
            names = [n for page in pages for n in page["PolicyNames"]]
            answers = [self._iam.get_role_policy(RoleName=role, PolicyName=n) for n in names]
        return [{"PolicyName": a["PolicyName"], "Document": a["PolicyDocument"]} for a in answers]

    def services_used(self, role_arn: str) -> list[dict[str, Any]] | None:
        """Which services a role called last, and when (GenerateServiceLastAccessedDetails); None when the report is not ready in time."""
        with aws_errors(f"ask which services {role_arn} used {self._where}"):
            job = self._iam.generate_service_last_accessed_details(Arn=role_arn)["JobId"]
            for _ in range(MOST_PAUSES):
                answer = self._iam.get_service_last_accessed_details(JobId=job)
                if answer["JobStatus"] == "COMPLETED":
                    return [dict(s) for s in answer["ServicesLastAccessed"] if "LastAuthenticated" in s]
                if answer["JobStatus"] == "FAILED":
                    return None
                time.sleep(self._pause)
        return None

    def key_used(self, key_id: str) -> dict[str, Any]:
        """Whose an access key is, and its last use: time, service, Region (GetAccessKeyLastUsed)."""
        with aws_errors(f"ask for the last use of {key_id} {self._where}"):
            answer = self._iam.get_access_key_last_used(AccessKeyId=key_id)
        return {"UserName": answer.get("UserName", ""), **answer.get("AccessKeyLastUsed", {})}
