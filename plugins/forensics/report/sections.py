"""The middle of the report: plan, findings, evidence, provenance, custody as rows for the template."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from heapq import nsmallest

from forensics.case.gaps import DIFFERENT_DIGESTS, differing_digests, failed, tool_notes
from forensics.models.case import CaseStatus, CaseView
from forensics.models.evidence import AnyEvidence, Digest, DiskEvidence, Evidence, Outcome
from forensics.models.plan import Action, Decision
from forensics.models.remarks import Remark
from forensics.models.results import ResultSeverity, ToolFinding, ToolResults, ToolRun
from forensics.printable import NOT_RECORDED
from forensics.report.remarks import anchor_id, finding_key, verdicts

PLAN_LABELS = {
    Action.MEMORY: "Acquire memory",
    Action.DISK: "Acquire disks",
    Action.ISOLATE: "Isolate the target",
}
SEVERITY_LEVEL = {
    ResultSeverity.CRITICAL: "bad",
    ResultSeverity.HIGH: "bad",
    ResultSeverity.MEDIUM: "warn",
    ResultSeverity.LOW: "idle",
    ResultSeverity.INFO: "idle",
}
EXPORTS = {
    "timeline.timesketch.jsonl": "the whole timeline, one entry a line, for Timesketch",
    "case.stix.json": "findings, techniques and observables as a STIX 2.1 bundle (TLP:AMBER)",
    "findings.ocsf.jsonl": "the incident and a detection for every finding, as OCSF 1.3 events",
}
DIGESTING = "disk.digest_disks"
BEING_READ = "the digest is being computed, a later version of the report has it"
# A page is built as a whole in the web server's memory, and read by a person.
FOUND_SHOWN = 300
FOUND_TEXT = 1_000_000  # characters
_RANK = {severity: rank for rank, severity in enumerate(ResultSeverity)}


@dataclass(frozen=True)
class PlanRow:
    """One decision: the short answer, and every reason."""

    label: str
    answer: str
    level: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class FoundRow:
    """A tool finding with where it comes from; ``anchor`` is the evidence's number in the table, if any."""

    finding: ToolFinding
    level: str
    tool: str
    evidence_id: str
    anchor: int | None
    key: str
    verdict: Remark | None = None

    @property
    def anchor_id(self) -> str:
        """Its place on the page, the same in every report of the case."""
        return anchor_id(self.key)

    @property
    def minor(self) -> bool:
        """Whether it can be folded away: low and informational ones."""
        return self.finding.severity in {ResultSeverity.LOW, ResultSeverity.INFO}


@dataclass(frozen=True)
class EvidenceRow:
    """One piece of evidence; ``digest_note`` says whether computations of the same bytes agree."""

    item: Evidence
    digest_note: str
    digest_level: str


@dataclass(frozen=True)
class ProvenanceRow:
    """One activity's results: every tool run and whether it failed, and what tools that ended well remarked."""

    results: ToolResults
    runs: tuple[tuple[ToolRun, bool], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class HeadSignature:
    """What the signed head covers; ``fields`` is everything recorded about the signature."""

    sentence: str
    level: str
    fields: dict[str, str]


def plan_rows(view: CaseView) -> list[PlanRow]:
    """The three decisions; none when triage has not ended with a plan."""
    if view.plan is None:
        return []
    return [_plan_row(decision) for decision in (view.plan.memory, view.plan.disk, view.plan.isolate)]


def _plan_row(decision: Decision) -> PlanRow:
    if decision.go:
        answer, level = "yes", "good"
    elif not decision.applies:
        answer, level = "NOT APPLICABLE", "idle"
    elif decision.waits:
        answer, level = "waits for a person's order", "warn"
    elif decision.wanted:
        answer, level = "wanted but NOT POSSIBLE", "bad"
    else:
        answer, level = "no", "idle"
    return PlanRow(PLAN_LABELS[decision.action], answer, level, decision.reasons)


def found_rows(view: CaseView) -> list[FoundRow]:
    """Findings of all tools, most severe first, then by time (unknown times last)."""
    return _rows(view, sorted(_found(view), key=_order))


def shown_rows(view: CaseView) -> list[FoundRow]:
    """The first of :func:`found_rows`, as many as a page holds; the stored results have all."""
    shown: list[FoundRow] = []
    room = FOUND_TEXT
    for row in _rows(view, nsmallest(FOUND_SHOWN, _found(view), key=_order)):
        finding = row.finding
        room -= len(finding.title) + len(finding.detail) + len(finding.source) + len(str(finding.data))
        if room < 0:
            break
        shown.append(row)
    return shown


def _found(view: CaseView) -> Iterator[tuple[ToolResults, ToolFinding]]:
    return ((results, finding) for results in view.results for finding in results.findings)


def _order(found: tuple[ToolResults, ToolFinding]) -> tuple[int, bool, float, str]:
    finding = found[1]
    time = finding.time
    return -_RANK[finding.severity], time is None, time.timestamp() if time else 0.0, finding.id


def _rows(view: CaseView, found: Iterable[tuple[ToolResults, ToolFinding]]) -> list[FoundRow]:
    anchors = {e.evidence_id: number for number, e in enumerate(view.evidence, start=1)}
    judged = verdicts(view)
    return [
        FoundRow(f, SEVERITY_LEVEL[f.severity], r.tool, r.evidence_id, anchors.get(r.evidence_id), key, judged.get(key))
        for r, f in found
        for key in [finding_key(r, f)]
    ]


def evidence_rows(view: CaseView) -> list[EvidenceRow]:
    """Evidence in the recorded order, with a check that digests of the same bytes agree."""
    return [EvidenceRow(item, *(_being_read(view, item) or _agreement(item.digests))) for item in view.evidence]


def undigested(view: CaseView) -> list[str]:
    """Ids of the disks whose digest is still being computed: they were copied, the step has not failed, the case is open."""
    if view.case.status is not CaseStatus.OPEN or any(f.step == DIGESTING for f in view.failures):
        return []
    return [
        item.evidence_id
        for item in view.evidence
        if isinstance(item, DiskEvidence)
        and item.outcome is Outcome.ACQUIRED
        and item.origin.copy_id
        and not item.digests
    ]


def _being_read(view: CaseView, item: AnyEvidence) -> tuple[str, str] | None:
    return (BEING_READ, "idle") if item.evidence_id in undigested(view) else None


def _agreement(digests: tuple[Digest, ...]) -> tuple[str, str]:
    if not digests:
        return f"digest {NOT_RECORDED}", "idle"
    if differing_digests(digests):
        return DIFFERENT_DIGESTS, "bad"
    sources: dict[tuple[str, str], set[str]] = defaultdict(set)
    for digest in digests:
        sources[digest.algorithm.lower(), digest.subject].add(digest.source)
    agreeing = [found for found in sources.values() if len(found) > 1]
    if agreeing:
        return f"{' and '.join(sorted(agreeing[0]))} agree", "good"
    return "computed once, not compared", "idle"


def export_rows(view: CaseView) -> list[tuple[str, str]]:
    """URI and purpose of the newest export of each kind."""
    newest = {uri.rsplit("/", 1)[-1]: uri for uri in sorted(view.objects) if "/report/" in uri}
    return [(newest[name], about) for name, about in EXPORTS.items() if name in newest]


def signature(view: CaseView) -> HeadSignature:
    """Whether the ledger's head is signed and how many of its events the signature covers."""
    fields = dict(view.custody_signature)
    if not fields:
        return HeadSignature("The head is not signed (no signature is recorded).", "warn", fields)
    covered = fields.get("head")
    position = next((n for n, e in enumerate(view.custody, start=1) if e.digest == covered), None)
    total = len(view.custody)
    if covered is None:
        return HeadSignature(f"A signature is recorded; what it covers is {NOT_RECORDED}.", "warn", fields)
    if position is None:
        return HeadSignature("A signature is recorded, but it covers no event of this ledger.", "bad", fields)
    rest = "" if position == total else f"; not signed yet: {total - position}"
    words = f"A signature is recorded for the first {position} of {total} events{rest}."
    words += " It was not verified for this page."
    return HeadSignature(words, "good" if position == total else "warn", fields)


def provenance_rows(view: CaseView) -> list[ProvenanceRow]:
    """What ran, in order of evidence and tool."""
    ordered = sorted(view.results, key=lambda r: (r.evidence_id, r.tool))
    return [ProvenanceRow(r, tuple((run, failed(run)) for run in r.provenance), tuple(tool_notes(r))) for r in ordered]
