"""What the forensic tools found; the shape of the toolkit's ``results.json``."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import ConfigDict, Field

from forensics.models.base import Model, Utc
from forensics.models.documents import Output


class Confidence(StrEnum):
    """How sure the rule is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ResultSeverity(StrEnum):
    """How bad a tool finding is."""

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
    data: dict[str, Any] = Field(default_factory=dict)


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
    """What was there of one known artifact, against what was understood of it (bytes, lines)."""

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
    input: dict[str, Any] = Field(default_factory=dict)
    provenance: tuple[ToolRun, ...] = ()
    findings: tuple[ToolFinding, ...] = ()
    timeline: tuple[ToolTimelineEntry, ...] = ()
    counts: dict[str, int] = Field(default_factory=dict)
    coverage: tuple[Coverage, ...] = ()
    gaps: tuple[ToolGap, ...] = ()
    notes: tuple[ToolGap, ...] = ()


class Investigation(Model):
    """The outcome of one activity as recorded in the case (the results themselves lie in S3)."""

    activity: str
    tool: str = ""
    evidence_id: str
    outcome: str
    reason: str | None = None
    output: Output = Output.RESULTS
    command_id: str | None = None
    instance_id: str | None = None
    document: dict[str, str] = Field(default_factory=dict)
    artifacts: dict[str, dict[str, Any]] = Field(default_factory=dict, description="name -> uri, sha256, bytes")
    started_at: Utc | None = None
    ended_at: Utc | None = None
    findings: int = 0
    gaps: int = 0
