"""What people say about a case: verdicts on findings, comments, tags, who works on it. Beside the tools' record, never in it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from forensics.models.base import Utc
from forensics.models.outside import Outside

MOST_TAGS = 10
TAG_FORM = r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,39}$"
Tag = Annotated[str, StringConstraints(pattern=TAG_FORM)]


class RemarkKind(StrEnum):
    """What a remark is about."""

    VERDICT = "verdict"
    COMMENT = "comment"
    TAGS = "tags"
    OWNER = "owner"


class Verdict(StrEnum):
    """What a person holds a finding of a tool for; ``OPEN`` takes an earlier verdict back."""

    TRUE = "true"
    FALSE = "false"
    BENIGN = "benign"
    OPEN = "open"


class RemarkRequest(Outside):
    """What a person sends.

    ``finding`` is the key of a tool's finding (``tool/evidence id/finding id``); a comment may name one. ``tags`` and ``owner`` replace
    what was there; empty ones remove it. ``once`` names the order: sent twice, it counts once.
    """

    kind: RemarkKind
    finding: str = Field(default="", max_length=400)
    verdict: Verdict | None = None
    note: str = Field(default="", max_length=2000)
    tags: tuple[Tag, ...] = Field(default=(), max_length=MOST_TAGS)
    owner: str = Field(default="", max_length=100)
    once: str = Field(default="", pattern=r"^([0-9a-f]{16,64})?$")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind is RemarkKind.VERDICT) != (self.verdict is not None):
            msg = "a verdict has one of the values true, false, benign, open; nothing else has one"
            raise ValueError(msg)
        if self.kind is RemarkKind.VERDICT and not self.finding:
            msg = "a verdict names the finding that it is about"
            raise ValueError(msg)
        if self.kind is RemarkKind.COMMENT and not self.note.strip():
            msg = "a comment has a text"
            raise ValueError(msg)
        return self


class Remark(Outside):
    """A remark as the case has it; ``seq`` is the number of the ledger's event that states the same."""

    kind: RemarkKind
    finding: str = ""
    title: str = Field(default="", description="title of the finding, as the tool gave it")
    verdict: Verdict | None = None
    note: str = ""
    tags: tuple[str, ...] = ()
    owner: str = ""
    by: str
    at: Utc
    seq: int


class Assignment(Outside):
    """Who works on a case and how people have tagged it, as the newest remarks say."""

    owner: str = Field(default="", max_length=100)
    tags: tuple[str, ...] = ()
    by: str
    at: Utc
    seq: int
