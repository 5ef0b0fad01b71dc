"""What the forensic tools found (the shape of the toolkit's ``results.json``), and what the case records of each run."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import ConfigDict, Field, JsonValue

from forensics.models.base import Model, Utc
from forensics.models.documents import Output
from forensics.models.evidence import Outcome

# The toolkit's words in the reason of an analysis that had no symbol table (ami/toolkit, room ``symbols``).
_WITHOUT_SYMBOLS = "no symbol table"


class Confidence(StrEnum):
    """How sure the rule behind a tool finding is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ResultSeverity(StrEnum):
    """How serious a tool finding is."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class _FromTool(Model):
    # Written by the toolkit of the forensic AMI, which may be newer than this package.
    model_config = ConfigDict(frozen=True, extra="ignore")


class ToolFinding(_FromTool):
    """One thing a tool found in evidence, in plain words."""

    id: str = Field(max_length=200)
    title: str = Field(max_length=500)
    detail: str = Field(default="", max_length=4000)
    severity: ResultSeverity = ResultSeverity.INFO
    confidence: Confidence = Confidence.MEDIUM
    time: Utc | None = None
    technique: str | None = Field(default=None, pattern=r"^T\d{4}(\.\d{3})?$")
    source: str = Field(default="", max_length=1000)
    data: dict[str, JsonValue] = Field(default_factory=dict)


class ToolTimelineEntry(_FromTool):
    """One moment in the evidence."""

    time: Utc
    what: str = Field(max_length=2000)
    source: str = Field(default="", max_length=1000)


class ToolRun(_FromTool):
    """One tool invocation (provenance)."""

    tool: str
    version: str = ""
    argv: tuple[str, ...] = ()
    exit: int | None = None
    seconds: float = 0.0
    rows: int | None = None
    error: str | None = None


class ToolGap(_FromTool):
    """Something that a tool did not examine, and why; as a note, something that a reader should know."""

    what: str
    why: str


class Coverage(_FromTool):
    """How much of one known log or file there was, and how much of it was understood (bytes, lines)."""

    kind: str
    path: str = ""
    bytes: int = 0
    lines: int = 0
    parsed: int = 0
    shortfalls: tuple[str, ...] = ()


class ToolResults(_FromTool):
    """One activity's results on one piece of evidence."""

    schema_: Literal["forensics.results/1"] = Field(alias="schema")
    case_id: str
    evidence_id: str
    tool: str
    toolkit_version: str = ""
    started: Utc
    ended: Utc
    input: dict[str, JsonValue] = Field(default_factory=dict)
    provenance: tuple[ToolRun, ...] = ()
    findings: tuple[ToolFinding, ...] = ()
    timeline: tuple[ToolTimelineEntry, ...] = ()
    counts: dict[str, int] = Field(default_factory=dict)
    coverage: tuple[Coverage, ...] = ()
    gaps: tuple[ToolGap, ...] = ()
    notes: tuple[ToolGap, ...] = ()


class StoredArtifact(Model):
    """An artifact in the evidence store; ``bytes`` is its size."""

    uri: str
    sha256: str
    bytes: int


class SentDocument(Model):
    """The SSM document that a command ran, pinned by version and digest, and where its uploads land."""

    name: str = ""
    version: str = ""
    sha256: str = ""
    landing_prefix: str = ""


class Investigation(Model):
    """The outcome of one activity as recorded in the case (the results themselves lie in S3)."""

    activity: str
    tool: str = ""
    evidence_id: str
    outcome: Outcome
    reason: str | None = None
    output: Output = Output.RESULTS
    command_id: str | None = None
    instance_id: str | None = None
    sent_again: int = Field(default=0, description="commands before this one that no agent took")
    document: SentDocument = SentDocument()
    artifacts: dict[str, StoredArtifact] = Field(default_factory=dict)
    started_at: Utc | None = None
    ended_at: Utc | None = None
    findings: int = 0
    gaps: int = 0

    @property
    def succeeded(self) -> bool:
        """Whether the activity has results, all of them or some."""
        return self.outcome in {Outcome.DONE, Outcome.PARTIAL}

    @property
    def without_symbols(self) -> bool:
        """Whether the image of memory was examined without a symbol table for its kernel."""
        return lacks_symbols(self.outcome, self.reason)


def lacks_symbols(outcome: Outcome, reason: str | None) -> bool:
    """Whether an analysis of memory ended partial because the tool had no symbol table for the kernel."""
    return outcome is Outcome.PARTIAL and _WITHOUT_SYMBOLS in (reason or "")
