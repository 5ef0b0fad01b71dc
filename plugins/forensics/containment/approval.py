"""Questions to people and their answers: who may approve, what an answer counts, what may be carried out under it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from forensics.containment.plan import unapproved_steps
from forensics.models.approval import Approval, Askers, Person
from forensics.models.containment import ContainmentPlan
from forensics.models.evidence import Outcome
from forensics.models.finding import CustomAction, Finding, FindingSource
from forensics.models.plan import Action


class Responder(BaseModel):
    """Who answered, as Airflow knows them."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    id: str | None = None
    name: str | None = None


class HumanResponse(BaseModel):
    """The event of Airflow's human-in-the-loop trigger; with ``error`` there is no valid answer."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    chosen_options: tuple[str, ...] = ()
    responded_by_user: Responder | None = None
    timedout: bool = False
    error: str | None = None

    @property
    def person(self) -> Person | None:
        """Who answered; None when nobody did."""
        user = self.responded_by_user
        if self.timedout or user is None or not (user.id or user.name):
            return None
        return Person(id=user.id or None, login=user.name or None)


@dataclass(frozen=True)
class AnswerRules:
    """``accept``: the option that approves. ``two_persons``: nobody approves what they asked for. ``valid``: how long it counts."""

    accept: str
    two_persons: bool
    valid: timedelta


def approvers_needed(askers: Askers, *, two_persons: bool) -> int:
    """How many different people have to approve: two where it is not known who asked, so that one of them did not."""
    return 2 if two_persons and askers.unknown else 1


def after_answer(question: Approval, response: HumanResponse, *, rules: AnswerRules, at: datetime) -> Approval:
    """The question after an answer: granted, refused, or still open because the answer does not count (alone)."""
    chosen = rules.accept in response.chosen_options
    if response.error is not None:
        return _closed(question, f"no valid answer: {response.error}", at=at)
    person = response.person
    if person is None:
        return _nobody(question, granted=chosen, rules=rules, at=at)
    if not chosen:
        return _closed(question, f"refused by {person}", by=str(person), at=at)
    if rules.two_persons and question.askers.include(person):
        return _not_counted(question, person, f"{person} asked for it and may not approve it", at=at)
    if any(person.is_same_as(known) for known in question.approvers):
        return _not_counted(question, person, f"{person} has approved it already", at=at)
    approvers = (*question.approvers, person)
    names = " and ".join(str(known) for known in approvers)
    if len(approvers) < question.needed:
        missing = question.needed - len(approvers)
        reason = f"approved by {names}; {missing} other person has to approve it too"
        return _next(question, approvers=approvers, reason=reason, at=at)
    return _next(
        question,
        open=False,
        granted=True,
        approvers=approvers,
        by=names,
        reason=f"approved by {names}",
        at=at,
        expires_at=at + rules.valid,
    )


def _nobody(question: Approval, *, granted: bool, rules: AnswerRules, at: datetime) -> Approval:
    reason = "nobody answered in time; policy's default counts"
    if question.not_counted or question.approvers:
        said = "; ".join(question.not_counted) or question.reason
        reason = f"nobody else answered in time ({said}); policy's default counts"
    end = at + rules.valid if granted else None
    return _next(question, open=False, granted=granted, reason=reason, at=at, expires_at=end)


def _closed(question: Approval, reason: str, *, at: datetime, by: str | None = None) -> Approval:
    return _next(question, open=False, granted=False, reason=reason, by=by, at=at)


def _not_counted(question: Approval, person: Person, why: str, *, at: datetime) -> Approval:
    """The question stays open. Who asked is known by id from now on, whatever name they answer under next."""
    known = question.askers.known
    if question.askers.include(person) and person not in known:
        known = (*known, person)
    askers = question.askers.model_copy(update={"known": known})
    return _next(
        question, not_counted=(*question.not_counted, why)[-20:], askers=askers, reason=f"{why}: still open", at=at
    )


def _next(question: Approval, **changes: object) -> Approval:
    return question.model_copy(update={**changes, "version": question.version + 1})


def abandoned(approval: Approval) -> bool:
    """Whether the question ended without a decision although somebody had answered: that is no regular end."""
    return not approval.granted and approval.by is None and bool(approval.not_counted or approval.approvers)


# ---------------------------------------------------------------------- who asked
def isolation_askers(findings: Sequence[Finding], *, run: Askers) -> Askers:
    """Who asked for the isolation of a case: the persons of all its findings, and whoever started the run.

    An order without a known person counts as unknown when it asks for isolation. A run that the intake started for a
    finding has no user, and nobody asked for it.
    """
    known = [*run.known, *(f.asked_by for f in findings if f.asked_by is not None)]
    unknown = [_whose(f) for f in findings if _asks_to_isolate(f) and (f.asked_by is None or not f.asked_by.unique)]
    return Askers(known=tuple(known), unknown=tuple(dict.fromkeys(unknown)))


def _asks_to_isolate(finding: Finding) -> bool:
    if finding.action is not None:
        return finding.action in {CustomAction.ISOLATE, CustomAction.FULL}
    if finding.source is not FindingSource.MANUAL or (finding.signature and finding.requested is None):
        return False
    return finding.requested is None or bool(finding.requested.get(Action.ISOLATE.value))


def _whose(finding: Finding) -> str:
    if finding.action is not None:
        return f"Security Hub does not say who pressed {finding.action.value}"
    if finding.signature is not None:
        return "a signed request names its requester in words only"
    return "Airflow does not say who asked for the case"


# ---------------------------------------------------------------------- what may be carried out
@dataclass(frozen=True)
class Withheld:
    """Why a plan is not carried out (yet)."""

    outcome: Outcome
    reason: str


def withheld(
    plan: ContainmentPlan, *, remaining: ContainmentPlan, approval: Approval | None, run_id: str, now: datetime
) -> Withheld | None:
    """None when the ``remaining`` steps of a plan may be carried out, otherwise why not.

    What is PENDING is asked again by ``plan_containment``; what a person refused is SKIPPED.
    """
    if not plan.approval and not remaining.approval:
        return None
    if approval is None or approval.open:
        return Withheld(Outcome.PENDING, "isolation waits for a person's approval")
    if not approval.granted:
        return Withheld(Outcome.SKIPPED, f"not approved: {approval.reason}")
    if finished(approval, remaining=remaining, run_id=run_id):
        return None
    if problem := approval.why_not_usable(digest=plan.digest, run_id=run_id, now=now):
        return Withheld(Outcome.PENDING, f"{problem}: isolation waits for another approval")
    if new := unapproved_steps(remaining, approved=plan):
        reason = f"the plan changed after approval, these steps are new: {', '.join(new[:5])}"
        return Withheld(Outcome.PENDING, f"{reason}: isolation waits for another approval")
    return None


def why_not_restored(
    plan: ContainmentPlan, *, remaining: ContainmentPlan, approval: Approval | None, case_open: bool
) -> str | None:
    """Why what others opened on a contained target may not be closed again without a new approval; None when it may.

    An approved containment that somebody else undoes is the same containment. So the approval under which it was carried out covers
    the way back to it, although it was used, of another run, or past its end: while the case is open, for the approved plan, and for no
    step and no reason that its approvers did not see.
    """
    if not plan.approval and not remaining.approval:
        return None
    if approval is None or not approval.granted or not (approval.used_at or approval.spent_at):
        return "isolating this target needs a person's approval, and it was not contained under one"
    if not case_open:
        return "the case is closed, and with it ended the approval under which the target was contained"
    if approval.void:
        return f"the approval counts no more: {approval.void}"
    if approval.digest != plan.digest:
        return f"the plan changed after approval (approved {approval.digest[:12]}, now {plan.digest[:12]})"
    if reasons := [reason for reason in remaining.approval if reason not in plan.approval]:
        return f"it needs an approval for a new reason: {'; '.join(reasons)[:400]}"
    if new := unapproved_steps(remaining, approved=plan):
        return f"it needs steps that nobody has approved: {', '.join(new[:5])}"
    return None


def finished(approval: Approval, *, remaining: ContainmentPlan, run_id: str) -> bool:
    """Whether what was approved has been carried out and nothing is left to change: looking at it again needs no approval."""
    return approval.spent_at is not None and approval.run_id == run_id and not remaining.steps
