"""Results of a third-party tool that does not write ``results.json``: made from its document's status line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from pydantic import Field, JsonValue

from forensics.models.outside import Outside
from forensics.models.results import (
    Confidence,
    Investigation,
    ResultSeverity,
    StoredArtifact,
    ToolFinding,
    ToolGap,
    ToolResults,
    ToolRun,
)

MAX_HITS = 200


class Hit(Outside):
    """One thing that the tool matched; ``path`` is where in the evidence."""

    title: str = Field(min_length=1, max_length=300)
    path: str = Field(default="", max_length=1000)
    severity: ResultSeverity = ResultSeverity.HIGH
    technique: str | None = Field(default=None, pattern=r"^T\d{4}(\.\d{3})?$")


class RawToolStatus(Outside):
    """The last line of stdout of a document with raw output."""

    status: str
    reason: str = Field(default="", max_length=2000)
    tool: str = Field(min_length=1, max_length=60)
    version: str = Field(default="", max_length=100)
    seconds: float = Field(default=0.0, ge=0)
    counts: dict[str, int] = Field(default_factory=dict)
    hits: tuple[Hit, ...] = Field(default=(), max_length=MAX_HITS)
    artifacts: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)


def from_status_line(
    status_line: Mapping[str, object], *, case_id: str, item: Investigation, raw: StoredArtifact, ended: datetime
) -> ToolResults:
    """Return results of the common contract. Raises pydantic's ``ValidationError`` for a line that is not valid."""
    line = RawToolStatus.model_validate(dict(status_line))
    run = ToolRun(
        tool=line.tool,
        version=line.version,
        argv=(item.document.name,),
        exit=0,
        seconds=line.seconds,
        rows=len(line.hits),
    )
    return ToolResults(
        schema="forensics.results/1",
        case_id=case_id,
        evidence_id=item.evidence_id,
        tool=item.tool or item.activity,
        started=item.started_at or ended,
        ended=ended,
        input={"made_from": "the status line", "raw_sha256": raw.sha256, "raw_bytes": raw.bytes},
        provenance=(run,),
        findings=tuple(_finding(line.tool, number, hit) for number, hit in enumerate(line.hits, start=1)),
        counts=line.counts,
        gaps=tuple(_gaps(line, item.evidence_id)),
    )


def _finding(tool: str, number: int, hit: Hit) -> ToolFinding:
    return ToolFinding(
        id=f"{tool}-{number}",
        title=f"{tool} matched {hit.title}",
        detail=f"in {hit.path}" if hit.path else "",
        severity=hit.severity,
        confidence=Confidence.MEDIUM,
        technique=hit.technique,
        source=hit.path,
    )


def _gaps(line: RawToolStatus, item: str) -> Iterator[ToolGap]:
    if line.status == "partial":
        yield ToolGap(what=f"{line.tool} on {item}", why=line.reason)
    missing = line.counts.get("infected", len(line.hits)) - len(line.hits)
    if missing > 0:
        yield ToolGap(what=f"{missing} more matches of {line.tool}", why="only the raw output has all of them")
