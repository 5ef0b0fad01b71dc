"""What people said, beside what tools found: the newest verdict on each finding, and everything in order. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from forensics.models.case import CaseView
from forensics.models.remarks import Remark, RemarkKind, Verdict
from forensics.models.results import ToolFinding, ToolResults
from forensics.printable import count

VERDICT_WORDS = {
    Verdict.TRUE: "true",
    Verdict.FALSE: "false alarm",
    Verdict.BENIGN: "benign: true, and meant to be",
    Verdict.OPEN: "open again",
}
VERDICT_LEVEL = {Verdict.TRUE: "bad", Verdict.FALSE: "idle", Verdict.BENIGN: "good", Verdict.OPEN: "idle"}


def finding_key(results: ToolResults, finding: ToolFinding) -> str:
    """By what remarks name a finding: the same in every report of the case."""
    return f"{results.tool}/{results.evidence_id}/{finding.id}"[:400]


def anchor_id(key: str) -> str:
    """The place of a finding on the page; a key may hold what an address must not."""
    return f"finding-{hashlib.sha256(key.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


@dataclass(frozen=True)
class KnownFinding:
    """A finding that a remark may be about."""

    finding: ToolFinding
    evidence_id: str
    anchor_id: str


def known_findings(view: CaseView) -> dict[str, KnownFinding]:
    """Every finding of the case's tools by its key."""
    return {
        key: KnownFinding(finding, results.evidence_id, anchor_id(key))
        for results in view.results
        for finding in results.findings
        for key in [finding_key(results, finding)]
    }


def verdicts(view: CaseView) -> dict[str, Remark]:
    """The newest verdict on each finding by its key; one that was taken back is none."""
    newest = {r.finding: r for r in sorted(view.remarks, key=lambda r: r.seq) if r.kind is RemarkKind.VERDICT}
    return {key: remark for key, remark in newest.items() if remark.verdict is not Verdict.OPEN}


def remark_words(remark: Remark) -> str:
    """What a remark says, without its note."""
    match remark.kind:
        case RemarkKind.VERDICT:
            return f"finding “{remark.title[:200]}”: {VERDICT_WORDS[remark.verdict or Verdict.OPEN]}"
        case RemarkKind.TAGS:
            return f"tags: {', '.join(remark.tags) or 'none'}"
        case RemarkKind.OWNER:
            return f"owner: {remark.owner or 'nobody'}"
    return f"on the finding “{remark.title[:200]}”" if remark.finding else "comment"


def verdicts_sentence(found: Mapping[str, Remark], findings: int) -> str:
    """How many findings people have judged; empty when none."""
    if not found:
        return ""
    tally = Counter(remark.verdict for remark in found.values())
    parts = ", ".join(f"{tally[v]} {VERDICT_WORDS[v].partition(':')[0]}" for v in Verdict if tally[v])
    return f"People have judged {len(found)} of {count(findings, 'finding')}: {parts}."
