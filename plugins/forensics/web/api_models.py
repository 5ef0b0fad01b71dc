"""The answers of the API as models: what its OpenAPI document says, and what tests hold every answer against."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from forensics.custody.audit_plan import AuditedCase, Budget, Coverage
from forensics.models.case import Case, CaseView
from forensics.models.drill import DrillReport
from forensics.models.gaps import Gap
from forensics.models.indicators import Indicator
from forensics.models.intake import IntakeCounts, IntakeRecord
from forensics.models.preflight import PreflightReport, ReadinessReport
from forensics.models.remarks import Remark
from forensics.models.sweeps import SweepReport
from forensics.report.chronology import KeyTime
from forensics.report.completeness import Completeness
from forensics.report.downloads import OfferKind
from forensics.report.handling import HandlingPoint
from forensics.report.next_steps import NextStep
from forensics.web.response_times import WindowTimes


class Answer(BaseModel):
    """An answer; it has these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class BoardCase(Answer):
    """A line of the board."""

    case: Case
    needs: list[str] = Field(description="why the case needs a person, the most pressing first")
    owner: str
    tags: list[str]
    age_seconds: int
    duration_seconds: int | None
    contained: str | None
    contained_in_words: str | None
    evidence: list[str] = Field(description="how many pieces of evidence have which outcome")
    gap_count: int | None
    problem: str | None = Field(description="why the details could not be read")
    href: str
    run_href: str | None


class Board(Answer):
    """Cases that were asked for; ``next`` is the ``cursor`` of the following page."""

    cases: list[BoardCase]
    next: str | None
    as_of: datetime
    unread: list[str] = Field(description="why records of further cases cannot be read by this release, and what to do")
    total: int
    matched: int
    by_status: dict[str, int]
    by_need: dict[str, int]


class Summary(Answer):
    """The first screen of a report."""

    status: str
    status_in_words: str
    phase: str
    contained: str
    contained_in_words: str
    evidence: str
    findings: str
    gap_count: int


class Statement(Answer):
    """A finding that answers a question."""

    finding: str
    title: str
    evidence_id: str
    tool: str
    artifact: str
    time: datetime | None
    confidence: str


class Unread(Answer):
    """An artifact that was not examined or is not there, and why."""

    artifact: str
    why: str


class QuestionAnswered(Answer):
    """A question of the playbook and what the evidence says to it."""

    question: str
    text: str
    state: str
    statements: list[Statement]
    more: int
    examined: list[str]
    not_there: list[Unread]
    not_examined: list[Unread]


class GapAnswer(Gap):
    """A gap; ``what`` and ``origin`` are names that earlier versions gave subject and kind."""

    what: str
    origin: str


class LedgerAnswer(Answer):
    """What recomputing the ledger's chain gave."""

    intact: bool | None
    in_words: str
    signature: str


class CaseReport(Answer):
    """The report of one case: derived facts, and under ``view`` all records they come from."""

    schema_: Literal["forensics.report/1"] = Field(alias="schema")
    case_id: str
    generated_at: datetime
    summary: Summary
    next_steps: list[NextStep]
    key_times: list[KeyTime]
    answers: list[QuestionAnswered]
    completeness: Completeness
    second_opinions: list[str]
    gaps: list[GapAnswer]
    pending: list[GapAnswer]
    custody: LedgerAnswer
    handling: list[HandlingPoint]
    caveat: str
    view: CaseView


class TimelineMoment(Answer):
    """One entry of the timeline; ``source`` is the artifact or step, ``partition`` where it comes from (docs/timeline.md)."""

    time: datetime
    kind: str
    what: str
    source: str
    evidence_id: str | None
    partition: str
    severity: str | None
    technique: str | None
    host: str | None
    user: str | None
    addresses: list[str]
    finding_id: str | None
    data_type: str
    timestamp_desc: str


class Timeline(Answer):
    """Entries, oldest first; ``next`` is the ``cursor`` of the following page."""

    case_id: str
    entries: list[TimelineMoment]
    next: str | None
    stored: str | None = Field(
        description="version of the stored timeline that was searched; none: only notable entries were"
    )
    stale: bool = Field(description="tools have ended since it was stored")
    preparing: bool = Field(description="entries of tools are still being fetched and are not in this answer")


class LinkAnswer(Answer):
    """Two cases and the indicators that they share."""

    cases: list[str]
    confidence: str
    shared: list[Indicator]


class IncidentAnswer(Answer):
    """Cases that hang together by shared indicators, the one that was asked for first; ``cut``: there are more.

    ``sweeps``: where the case's indicators were looked for, newest first.
    """

    case_id: str
    cases: list[str]
    links: list[LinkAnswer]
    cut: bool
    sweeps: list[SweepReport]


class RemarkList(Answer):
    """What people have said of a case, oldest first, and what holds now."""

    case_id: str
    owner: str
    tags: list[str]
    remarks: list[Remark]


class Download(Answer):
    """A stored object; ``href`` asks for a link to it, ``allowed``: whether this person gets one."""

    path: str
    kind: OfferKind
    about: str
    newest: bool
    allowed: bool
    href: str


class DownloadList(Answer):
    """What of a case is handed out."""

    case_id: str
    downloads: list[Download]


class Intake(Answer):
    """What became of messages that opened no case."""

    waiting: int
    dead_letters: int
    days: list[IntakeCounts]
    records: list[IntakeRecord]


class AuditedShare(Answer):
    """The newest audit; ``share`` is the part of all objects that was read within ``every_days``."""

    at: datetime
    run_id: str
    budget: Budget
    every_days: int
    cases: int
    audited: int
    requests: int
    read: int
    read_bytes: int
    differences: int
    coverage: Coverage
    rows: list[AuditedCase]
    share: float


class Audit(Answer):
    """The newest audit of the evidence; none before the first."""

    summary: AuditedShare | None


class Preflight(Answer):
    """The last preflight of each part, and which instances could not be captured today."""

    reports: list[PreflightReport]
    readiness: ReadinessReport | None
    drill: DrillReport | None


class Times(Answer):
    """Percentiles of the seconds from reception to each stage, by when cases were opened."""

    as_of: datetime
    windows: list[WindowTimes]


class Fault(Answer):
    """Why a request was not carried out, and what to do next."""

    title: str
    what: str
    why: str
    next: str


class Refusal(Answer):
    """The answer of a request that was not carried out."""

    error: Fault
