"""What AWS Organizations says of the target's account."""

from __future__ import annotations

from pydantic import Field

from forensics.models.outside import Outside


class OrganizationTags(Outside):
    """Tags of an account and of the units above it, as far as the policy's scope asks for them.

    ``unread`` says why they are not known; then the rest is empty and nothing is concluded from it.
    """

    account: dict[str, str] = Field(default_factory=dict)
    units: dict[str, dict[str, str]] | None = Field(
        default=None, description="by the unit's id, the nearest first, the root last; None when nobody asked"
    )
    unread: str = ""
