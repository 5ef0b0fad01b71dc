"""What a responder should do now, most urgent first, each step from a recorded fact."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from forensics.case import containment_summary as containment
from forensics.case.addresses import TASK_FORM
from forensics.case.gaps import DIFFERENT_DIGESTS, NO_REASON, differing_digests, failures_that_matter, under_way
from forensics.investigation.answers import QuestionAnswer, State, answers
from forensics.models.case import CaseView
from forensics.models.evidence import Outcome
from forensics.models.results import ResultSeverity
from forensics.printable import count
from forensics.report import sections
from forensics.report.headline import OUTCOME_WORDS, chain_check, severities

# "clear this task" is read far from the task: its name is said instead.
_THE_TASK = re.compile(r"\b(?:this|the) (?:task|step)\b(?!['\u2019])")


@dataclass(frozen=True)
class NextStep:
    """One thing to do; ``why`` is the recorded cause, ``step`` the id of the case's task that it is about."""

    do: str
    why: str
    urgent: bool = False
    step: str = ""


def next_steps(view: CaseView, *, answered: Sequence[QuestionAnswer] | None = None) -> list[NextStep]:
    """Everything that the records ask a person to do, urgent steps first, none twice; ``answered``: the answers, where they are known."""
    of_answers = _of_answers(view, answers(view) if answered is None else answered)
    return list(dict.fromkeys([*_urgent(view), *_of_failures(view), *of_answers, *_of_findings(view)]))


def _urgent(view: CaseView) -> Iterator[NextStep]:
    state, chain, signature = containment.describe(view), chain_check(view), sections.signature(view)
    if state.act:
        yield NextStep(state.act, state.sentence, urgent=True)
    if chain.intact is False:
        do = "Treat the evidence as damaged; clear no task until an examiner has looked at the ledger."
        yield NextStep(do, chain.sentence, urgent=True)
    for item in view.evidence:
        if differing_digests(item.digests):
            do = f"Treat {item.evidence_id} as damaged until an examiner has compared its copies."
            yield NextStep(do, DIFFERENT_DIGESTS, urgent=True)
    if signature.level == "bad":
        do = "Have an examiner compare the signed head under Object Lock with the ledger."
        yield NextStep(do, signature.sentence, urgent=True)


def _of_failures(view: CaseView) -> Iterator[NextStep]:
    for failure in failures_that_matter(view):
        if view.released and failure.step.startswith("containment."):
            continue
        step = failure.step if TASK_FORM.fullmatch(failure.step) else ""
        do = _THE_TASK.sub(step, failure.next_action) if step else failure.next_action
        yield NextStep(do, f"{failure.step} failed: {failure.cause}", step=step)
    causes = [failure.cause for failure in view.failures]
    for item in view.evidence:
        named = item.reason and any(item.reason in cause for cause in causes)
        if item.outcome in {Outcome.FAILED, Outcome.PARTIAL} and not named:
            do = f"Decide whether {item.evidence_id} can be acquired again."
            yield NextStep(do, f"{OUTCOME_WORDS[item.outcome]}: {item.reason or NO_REASON}")


def _of_answers(view: CaseView, answered: Sequence[QuestionAnswer]) -> Iterator[NextStep]:
    """Questions without an answer, once no step can bring one."""
    for answer in answered:
        if answer.state is State.UNANSWERED and not under_way(view):
            why = "; ".join(f"{u.artifact}: {u.why}" for u in (*answer.unread, *answer.absent))
            yield NextStep(f"Answer by other means: {answer.question.text}", why)


def _of_findings(view: CaseView) -> Iterator[NextStep]:
    tally = severities(view)
    number = tally[ResultSeverity.CRITICAL] + tally[ResultSeverity.HIGH]
    if number:
        do = f"Review the {count(number, 'finding')} of severity critical or high."
        yield NextStep(do, "they are listed under “Findings from the tools”")
    if view.containment and view.containment.residuals and not view.released:
        paths = count(len(view.containment.residuals), "path")
        do = f"Deal with the {paths} that containment leaves open or unproven."
        yield NextStep(do, "listed under “Containment”")
