"""What is kept about messages to people: names for subjects, lines that wait for a digest, questions that wait for a person."""

from __future__ import annotations

from pydantic import Field

from forensics.models.base import Model


class CaseLabel(Model):
    """Names by which people know a case's target. They come from the target's account: whoever holds it chooses them."""

    account_alias: str = Field(
        default="", description="IAM's alias of the account; empty: there is none, or it is not known"
    )
    instance_name: str = Field(default="", description="the instance's tag Name; empty: as above")
