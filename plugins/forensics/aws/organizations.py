"""AWS Organizations: the tags of an account and of the units above it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_organizations import OrganizationsClient

# Quotas for AWS Organizations, "Maximum and minimum values": five levels of units in a root.
MOST_LEVELS = 5


class OrganizationsGateway:
    """Reads of the organization, from its management account or a delegated administrator's; others are denied.

    Source: AWS Organizations API reference, ListTagsForResource and ListParents.
    """

    def __init__(self, client: OrganizationsClient, *, account_id: str) -> None:
        self._organizations = client
        self.account_id = account_id

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account."""
        return cls(session.organizations, account_id=session.account_id)

    def tags(self, resource_id: str) -> dict[str, str]:
        """Tags of an account, a unit or the root (ListTagsForResource)."""
        with aws_errors(f"read the tags of {resource_id} in AWS Organizations, from account {self.account_id}"):
            pages = self._organizations.get_paginator("list_tags_for_resource").paginate(ResourceId=resource_id)
            return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    def units_above(self, account_id: str) -> list[str]:
        """Ids of the units above an account, the nearest first, the root last (ListParents)."""
        found: list[str] = []
        child = account_id
        for _ in range(MOST_LEVELS + 1):
            with aws_errors(f"find what {child} is under in AWS Organizations, from account {self.account_id}"):
                pages = self._organizations.get_paginator("list_parents").paginate(ChildId=child)
                # a child has one parent
                parent = next((p for page in pages for p in page["Parents"]), None)
            if parent is None:
                msg = f"AWS Organizations names nothing above {child}, which is no root"
                raise AwsError(msg, next_action="look at the organization; then clear triage.plan_response")
            found.append(parent["Id"])
            if parent["Type"] == "ROOT":
                return found
            child = parent["Id"]
        msg = f"account {account_id} is under more than {MOST_LEVELS} units: {', '.join(found)}"
        raise AwsError(msg, next_action="tell the maintainers: AWS's quota for levels of units has changed")
