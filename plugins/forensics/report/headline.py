"""The first screen: status in words, what is missing, what to do next."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from forensics.case.gaps import gaps as case_gaps
from forensics.custody.chain import verify_chain
from forensics.errors import CustodyChainError
from forensics.investigation.answers import State, answers
from forensics.models.case import CaseStatus, CaseView, Phase
from forensics.models.evidence import Outcome
from forensics.models.results import Investigation, ResultSeverity
from forensics.report import containment_summary as containment
from forensics.report import sections
from forensics.report.completeness import completeness
from forensics.report.text import count

STATUS_WORDS = {
    CaseStatus.OPEN: "Open: the case is still being worked. What is missing below may still arrive.",
    CaseStatus.CLOSED: "Closed: every step of the plan is recorded as done.",
    CaseStatus.CLOSED_WITH_GAPS: "Closed WITH GAPS: something the plan wanted is not there; see the gaps.",
    CaseStatus.FAILED: "FAILED: the case could not be worked to its end. What was saved is listed below.",
}
CLOSING = (
    "The work is done: this report was written just before the case was closed; the case's page says how it closed."
)
STATUS_LEVEL = {
    CaseStatus.OPEN: "idle",
    CaseStatus.CLOSED: "good",
    CaseStatus.CLOSED_WITH_GAPS: "warn",
    CaseStatus.FAILED: "bad",
}


def status_words(view: CaseView) -> str:
    """What the case's status means; the report itself is written while the case is still open."""
    if view.case.status is CaseStatus.OPEN and view.case.phase is Phase.REPORT:
        return CLOSING
    return STATUS_WORDS[view.case.status]


OUTCOME_LEVEL = {
    Outcome.PENDING: "idle",
    Outcome.ACQUIRED: "good",
    Outcome.DONE: "good",
    Outcome.PARTIAL: "warn",
    Outcome.FAILED: "bad",
    Outcome.NOT_APPLICABLE: "idle",
    Outcome.SKIPPED: "idle",
}
_EXAMINED = frozenset({Outcome.ACQUIRED.value, Outcome.DONE.value})
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
class Missing:
    """One thing that is not there: where it is missing and why."""

    what: str
    why: str
    origin: str


@dataclass(frozen=True)
class NextStep:
    """One thing to do: ``urgent`` first; ``why`` is the recorded cause."""

    do: str
    why: str
    urgent: bool = False


@dataclass(frozen=True)
class Ledger:
    """The custody chain as recomputed while rendering."""

    intact: bool | None
    sentence: str


def ledger(view: CaseView) -> Ledger:
    """Recompute the chain and compare its end with the recorded head."""
    if not view.custody:
        return Ledger(None, "No custody event is recorded.")
    try:
        head = verify_chain(view.custody)
    except CustodyChainError as error:
        return Ledger(False, f"The chain is BROKEN: {error.message}.")
    events = count(len(view.custody), "event")
    if view.custody_head is None:
        return Ledger(None, f"The chain of {events} is intact, but no head is recorded to compare it with.")
    if head != view.custody_head and view.case.status is CaseStatus.OPEN:
        # An open case may be written to while it is read: a newer head alone proves nothing.
        return Ledger(
            None,
            f"The chain of {events} is intact in itself, but the recorded head is another one: reload, it must match.",
        )
    if head != view.custody_head:
        return Ledger(False, f"The chain of {events} is intact in itself, but it does NOT end at the recorded head.")
    return Ledger(True, f"The chain of {events} was recomputed for this page and ends at the recorded head.")


def missing(view: CaseView) -> list[Missing]:
    """Every gap, stated as one: plan, evidence, tools, failures."""
    found = [Missing(f"Step {f.step} failed", f.cause, f"step, try {f.try_number}") for f in view.failures]
    found += [
        Missing(f"{e.evidence_id}: {OUTCOME_WORDS[e.outcome]}", e.reason or "no reason is recorded", "evidence")
        for e in view.evidence
        if e.outcome is not Outcome.ACQUIRED
    ]
    for result in view.results:
        origin = f"{result.tool} tools on {result.evidence_id}"
        found += [Missing(g.what, g.why, origin) for g in result.gaps]
        found += [
            Missing(
                f"{run.tool} {' '.join(run.argv)}".strip() + " did not end well",
                _run_problem(run.error, run.exit),
                origin,
            )
            for run in result.provenance
            if run.error or run.exit
        ]
    found += [
        Missing(_investigation_words(i), i.reason or "no reason is recorded", "investigation")
        for i in view.investigations
        if i.outcome not in _EXAMINED
    ]
    found += [
        Missing(f"{item}: {sections.DIFFER}", "one of the copies is not what was acquired", "evidence")
        for item in damaged(view)
    ]
    shown = {(r.tool, r.evidence_id) for r in view.results} | {("", r.evidence_id) for r in view.results}
    found += [
        Missing(
            f"results of {i.activity} on {i.evidence_id} are not shown",
            "they could not be read",
            "investigation",
        )
        for i in view.investigations
        if i.outcome in {*_EXAMINED, Outcome.PARTIAL} and (i.tool, i.evidence_id) not in shown
    ]
    steps = {f"{f.step}: {f.cause}" for f in view.failures}
    items = [e.evidence_id for e in view.evidence if e.outcome is not Outcome.ACQUIRED]
    found += [
        Missing(gap, "it differs from what the plan asks for", "plan")
        for gap in case_gaps(view)
        if gap not in steps and not any(gap.startswith(f"{item} ended") for item in items)
    ]
    return found


def damaged(view: CaseView) -> list[str]:
    """Evidence of which two digests of the same bytes differ."""
    return [row.item.evidence_id for row in sections.evidence_rows(view) if row.digest_level == "bad"]


def _investigation_words(item: Investigation) -> str:
    ended = "has no result yet" if item.outcome == Outcome.PENDING else f"ended {item.outcome}"
    return f"{item.activity} of {item.evidence_id} {ended}"


def _run_problem(error: str | None, exit_status: int | None) -> str:
    status = "" if exit_status is None else f"exit status {exit_status}"
    return ": ".join(part for part in (status, error or "") if part)


def next_steps(view: CaseView) -> list[NextStep]:
    """What a responder should do now, most urgent first, each from a recorded fact."""
    state = containment.describe(view)
    steps = [NextStep(state.act, state.sentence, urgent=True)] if state.act else []
    if ledger(view).intact is False:
        do = "Treat the evidence as damaged; clear no task until an examiner has looked at the ledger."
        steps.append(NextStep(do, ledger(view).sentence, urgent=True))
    steps += [
        NextStep(
            f"Treat {item} as damaged until an examiner has compared its copies.",
            sections.DIFFER,
            urgent=True,
        )
        for item in damaged(view)
    ]
    if sections.signature(view).level == "bad":
        do = "Have an examiner compare the signed head under Object Lock with the ledger."
        steps.append(NextStep(do, sections.signature(view).sentence, urgent=True))
    steps += [NextStep(f.next_action, f"{f.step} failed: {f.cause}") for f in view.failures]
    steps += [
        NextStep(
            f"Decide whether {e.evidence_id} can be acquired again.",
            f"{OUTCOME_WORDS[e.outcome]}: {e.reason or 'no reason is recorded'}",
        )
        for e in view.evidence
        if e.outcome in {Outcome.FAILED, Outcome.PARTIAL}
    ]
    open_questions = [a for a in answers(view) if a.state is State.UNANSWERED]
    steps += [
        NextStep(f"Answer by other means: {a.question.text}", "; ".join(f"{u.artifact}: {u.why}" for u in a.unread))
        for a in open_questions
    ]
    grave = severities(view)
    number = grave[ResultSeverity.CRITICAL] + grave[ResultSeverity.HIGH]
    if number:
        words = f"Review the {count(number, 'finding')} of severity critical or high."
        steps.append(NextStep(words, "they are listed under “Findings from the tools”"))
    if view.containment and view.containment.residuals:
        paths = count(len(view.containment.residuals), "path")
        steps.append(
            NextStep(
                f"Deal with the {paths} that containment leaves open or unproven.",
                "listed under “Containment”",
            )
        )
    return list(dict.fromkeys(steps))


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


def answers_sentence(view: CaseView) -> str:
    """How many of the playbook's questions have an answer."""
    tally = Counter(a.state for a in answers(view))
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
