"""The first screen in sentences: status, ledger, evidence, answers, findings, gaps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from forensics.custody.chain import verify_chain
from forensics.errors import CustodyChainError
from forensics.investigation.answers import QuestionAnswer, State
from forensics.models.case import CaseStatus, CaseView, Phase
from forensics.models.evidence import Outcome
from forensics.models.gaps import Gap
from forensics.models.results import ResultSeverity
from forensics.printable import count
from forensics.report.completeness import completeness

STATUS_WORDS = {
    CaseStatus.OPEN: "Open: the case is still being processed. What is listed as pending may still arrive.",
    CaseStatus.CLOSED: "Closed: every step of the plan is recorded as done.",
    CaseStatus.CLOSED_WITH_GAPS: "Closed WITH GAPS: something the plan wanted is not there; see the gaps.",
    CaseStatus.FAILED: "FAILED: the case could not be processed to its end. What was saved is listed below.",
}
CLOSING = (
    "The steps have ended: this report was written just before the case was closed. The case's page says how it closed."
)
STATUS_LEVEL = {
    CaseStatus.OPEN: "idle",
    CaseStatus.CLOSED: "good",
    CaseStatus.CLOSED_WITH_GAPS: "warn",
    CaseStatus.FAILED: "bad",
}


OUTCOME_LEVEL = {
    Outcome.PENDING: "idle",
    Outcome.ACQUIRED: "good",
    Outcome.DONE: "good",
    Outcome.PARTIAL: "warn",
    Outcome.FAILED: "bad",
    Outcome.NOT_APPLICABLE: "idle",
    Outcome.SKIPPED: "idle",
}
OUTCOME_WORDS = {
    Outcome.PENDING: "pending: no result yet",
    Outcome.ACQUIRED: "acquired",
    Outcome.DONE: "done",
    Outcome.PARTIAL: "PARTIAL: only some of it was acquired",
    Outcome.FAILED: "FAILED",
    Outcome.NOT_APPLICABLE: "not applicable",
    Outcome.SKIPPED: "skipped by policy",
}


@dataclass(frozen=True)
class ChainCheck:
    """The custody chain as recomputed while rendering; ``intact`` is None when that cannot be said."""

    intact: bool | None
    sentence: str


def status_words(view: CaseView) -> str:
    """What the case's status means; the report itself is written while the case is still open."""
    if view.case.status is CaseStatus.OPEN and view.case.phase is Phase.REPORT:
        return CLOSING
    words = STATUS_WORDS[view.case.status]
    if view.case.ended and view.case.phase not in {Phase.REPORT, Phase.DONE}:
        return f"{words} Steps have been repeated since: closing the case again says what they changed."
    return words


def chain_check(view: CaseView) -> ChainCheck:
    """Recompute the chain and compare its end with the recorded head."""
    if not view.custody:
        return ChainCheck(None, "No custody event is recorded.")
    try:
        head = verify_chain(view.custody)
    except CustodyChainError as error:
        return ChainCheck(False, f"The chain is BROKEN: {error.message}.")
    events = count(len(view.custody), "event")
    if "custody" in view.cut:
        return ChainCheck(
            None, f"The chain of the first {events} is intact; the ledger has more, which the audit checks."
        )
    if view.custody_head is None:
        return ChainCheck(None, f"The chain of {events} is intact, but no head is recorded to compare it with.")
    if head != view.custody_head and view.case.status is CaseStatus.OPEN:
        # An open case may be written to while it is read: a newer head alone proves nothing.
        return ChainCheck(
            None,
            f"The chain of {events} is intact in itself, but the recorded head differs: reload the page, it must match.",
        )
    if head != view.custody_head:
        return ChainCheck(
            False, f"The chain of {events} is intact in itself, but it does NOT end at the recorded head."
        )
    return ChainCheck(True, f"The chain of {events} was recomputed for this page and ends at the recorded head.")


def severities(view: CaseView) -> Counter[ResultSeverity]:
    """How many tool findings there are of each severity."""
    return Counter(f.severity for r in view.results for f in r.findings)


def evidence_sentence(view: CaseView) -> str:
    """How much of the evidence is there."""
    if not view.evidence:
        return "No evidence is recorded."
    tally = Counter(e.outcome for e in view.evidence)
    others = ", ".join(f"{n} {o.value}" for o, n in tally.items() if o is not Outcome.ACQUIRED)
    whole = f"{tally[Outcome.ACQUIRED]} of {count(len(view.evidence), 'piece', 'pieces')} of evidence acquired"
    percent = completeness(view).percent
    weighed = "" if percent is None else f" {percent} % of what the plan asks for is there and examined."
    return (f"{whole}; {others}." if others else f"{whole}.") + weighed


def answers_sentence(answered: Sequence[QuestionAnswer]) -> str:
    """How many of the playbook's questions have an answer."""
    tally = Counter(a.state for a in answered)
    if not tally:
        return "The plan names no question."
    parts = ", ".join(f"{tally[state]} {state.value}" for state in State if tally[state])
    return f"{count(sum(tally.values()), 'question')} of the playbook: {parts}."


def findings_sentence(view: CaseView) -> str:
    """How many findings the tools have, by severity."""
    if not view.results:
        return "No tool results are recorded."
    tally = severities(view)
    if not tally:
        return "The tools that ran reported no finding. That is not proof that nothing happened: see the gaps."
    parts = ", ".join(f"{tally[s]} {s.value}" for s in reversed(ResultSeverity) if tally[s])
    return f"{count(sum(tally.values()), 'finding')} from the tools: {parts}."


def gap_lines(found: list[Gap]) -> list[str]:
    """A line of a message for each gap."""
    return [f"Gap: {gap}. What to do next: {gap.next_action}" for gap in found]


def gaps_sentence(found: list[Gap], pending: list[Gap]) -> str:
    """How many gaps there are, and how much is still pending."""
    words = count(len(found), "gap") if found else "no gap recorded"
    return f"{words}, {count(len(pending), 'item')} pending" if pending else words
