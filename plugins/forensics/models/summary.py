"""A machine-written summary of a case: sentences that cite findings or events, what was dropped, and how it was made. Never evidence."""

from __future__ import annotations

from pydantic import Field

from forensics.models.base import Sha256, Utc
from forensics.models.outside import Outside

LABEL = "machine-written, not evidence"


class CitedRecord(Outside):
    """What a sentence cites: a finding of a tool (``key`` as remarks name it), a finding of a service, or an event of the case."""

    id: str = Field(max_length=10)
    kind: str = Field(max_length=20)
    key: str = Field(max_length=500)
    title: str = Field(max_length=300)


class SummarySentence(Outside):
    """A sentence whose every name, address, number and time stands in the records that it cites."""

    text: str = Field(max_length=400)
    cites: tuple[CitedRecord, ...] = Field(min_length=1, max_length=6)


class DroppedSentence(Outside):
    """A sentence that did not stand up to its check."""

    text: str = Field(max_length=400)
    why: str = Field(max_length=300)


class CaseSummary(Outside):
    """The last summary of a case. ``failed`` is why there is none; ``uri`` is the stored object, with prompt and answer."""

    at: Utc
    model: str = Field(max_length=200)
    prompt_sha256: Sha256
    uri: str = Field(default="", max_length=1100)
    sha256: str = Field(default="", max_length=64)
    sentences: tuple[SummarySentence, ...] = Field(default=(), max_length=40)
    dropped: tuple[DroppedSentence, ...] = Field(default=(), max_length=100)
    records: int = Field(default=0, ge=0, description="records that the model was given")
    left_out: int = Field(default=0, ge=0, description="records that it was not given, the less severe ones")
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    failed: str = Field(default="", max_length=600)
