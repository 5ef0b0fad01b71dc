"""IAM: the role behind the target's instance profile, and who else has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.deployment import DEPLOYMENT
from forensics.errors import ResourceGoneError
from forensics.models.containment import Permission

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import RoleTypeDef

OWN_POLICIES = f"{DEPLOYMENT}-"


class IamGateway:
    """Typed IAM reads in one account."""

    def __init__(self, client: IAMClient, *, account_id: str, region: str) -> None:
        self._iam = client
        self._where = f"in account {account_id}"

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.iam, account_id=session.account_id, region=session.region)

    def account_alias(self) -> str:
        """The account's alias, which its administrators choose; empty when it has none (an account has at most one)."""
        with aws_errors(f"read the account's alias {self._where}"):
            aliases = self._iam.list_account_aliases()["AccountAliases"]
        return aliases[0] if aliases else ""

    def profile_role(self, profile: str) -> RoleTypeDef | None:
        """GetInstanceProfile's role (name, trust policy), or None when the profile has none or does not exist."""
        try:
            with aws_errors(f"read instance profile {profile} {self._where}"):
                roles = self._iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
        except ResourceGoneError:
            return None
        return roles[0] if roles else None

    def profiles_of(self, role: str) -> tuple[str, ...]:
        """Names of all instance profiles that hold the role."""
        with aws_errors(f"list instance profiles of role {role} {self._where}"):
            pages = self._iam.get_paginator("list_instance_profiles_for_role").paginate(RoleName=role)
            return tuple(p["InstanceProfileName"] for page in pages for p in page["InstanceProfiles"])

    def own_policies(self, role: str) -> tuple[str, ...]:
        """Names of the role's inline policies that this product made; none when the role is gone."""
        try:
            with aws_errors(f"list inline policies of role {role} {self._where}"):
                pages = self._iam.get_paginator("list_role_policies").paginate(RoleName=role)
                names = [n for page in pages for n in page["PolicyNames"]]
        except ResourceGoneError:
            return ()
        return tuple(n for n in names if n.startswith(OWN_POLICIES))

    def simulate(self, role_arn: str, permission: Permission) -> tuple[bool | None, str]:
        """Whether the role's own policies (and the organization's) allow something; None when IAM cannot say.

        SimulatePrincipalPolicy knows neither session policies nor policies of resources.
        """
        with aws_errors(f"ask IAM whether {role_arn} may use {permission} {self._where}"):
            found = self._iam.simulate_principal_policy(
                PolicySourceArn=role_arn,
                ActionNames=[permission.action],
                ResourceArns=[permission.resource],
                ContextEntries=[
                    {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
                    for name, value in permission.context.items()
                ],
            )["EvaluationResults"][0]
        decision = str(found["EvalDecision"])
        if decision == "allowed":
            return True, f"IAM would allow {permission}"
        # when resources were named, IAM lists missing condition keys per resource
        results = [found, *found.get("ResourceSpecificResults", [])]
        missing = sorted({key for result in results for key in result.get("MissingContextValues", [])})
        if missing and decision != "explicitDeny":
            return None, f"IAM cannot say whether it allows {permission} without {', '.join(missing)}"
        organization = found.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations", True)
        by = "" if organization else ", by a policy of the organization"
        return False, f"IAM would refuse {permission} ({decision}{by})"


def principals_besides_ec2(trust: object) -> tuple[str, ...]:
    """The principals besides the EC2 service that a role's trust policy lets assume it."""
    found: list[str] = []
    statements = trust.get("Statement", []) if isinstance(trust, dict) else []
    for statement in statements if isinstance(statements, list) else [statements]:
        if statement.get("Effect") != "Allow":
            continue
        principal = statement.get("Principal", {})
        if not isinstance(principal, dict):
            found.append(str(principal))
            continue
        for kind, values in principal.items():
            for value in [values] if isinstance(values, str) else values:
                if not (kind == "Service" and str(value).startswith("ec2.amazonaws.com")):
                    found.append(str(value))
    return tuple(dict.fromkeys(found))
