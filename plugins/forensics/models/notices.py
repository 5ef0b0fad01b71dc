"""What is kept about messages to people: names for subjects, lines that wait for a digest, what waits for a person."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from forensics.models.base import Model, Utc
from forensics.models.outside import Outside


class CaseLabel(Model):
    """Names by which people know a case's target. They come from the target's account: whoever holds it chooses them."""

    account_alias: str = Field(
        default="", description="IAM's alias of the account; empty: there is none, or it is not known"
    )
    instance_name: str = Field(default="", description="the instance's tag Name; empty: as above")


class Notified(Model):
    """That people were told of an event of a case."""

    at: str


class HeldLine(Outside):
    """An event of a case that people read in the next digest; ``finding``: a finding that joined, not a step of the case."""

    event: str
    at: Utc
    line: str = Field(max_length=2000)
    finding: bool = False


class DigestDue(Model):
    """Since when a case has lines that wait for a digest."""

    since: Utc


class WaitingKind(StrEnum):
    """What waits for a person."""

    QUESTION = "question"
    QUARANTINE = "quarantine"
    SEAL = "seal"


class Waiting(Outside):
    """Something that waits for a person: ``what`` it is, ``next_action`` to end it, ``until`` when it can be ended (None: always).

    A question is the item of its case that says whether it is still open: the approval's sort key is in ``item``.
    """

    kind: WaitingKind
    name: str = Field(description="tells it from others of its kind")
    case_id: str = Field(default="", description="empty: it is of no case")
    what: str = Field(max_length=500)
    next_action: str = Field(max_length=1000)
    since: Utc
    until: Utc | None = None
    item: str = ""
