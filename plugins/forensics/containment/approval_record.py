"""The questions of a case and their answers, in the case store, the custody ledger and the timeline.

Each question is one item. Every change of it is one conditional write: of two answers, or two uses, that arrive together one wins, and
the other reads what came of it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.recorder import CaseRecorder
from forensics.containment.approval import AnswerRules, HumanResponse, after_answer, approvers_needed
from forensics.errors import ApprovalError
from forensics.models.approval import Approval, ApprovalSubject, Askers
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction

_TRIES = 8
_RECORDS = {
    ApprovalSubject.CONTAINMENT: (
        case_keys.APPROVAL,
        CustodyAction.CONTAINMENT_APPROVED,
        CustodyAction.CONTAINMENT_REFUSED,
        TimelineKind.CONTAINMENT,
    ),
    ApprovalSubject.RELEASE: (
        case_keys.RELEASE_APPROVAL,
        CustodyAction.RELEASE_APPROVED,
        CustodyAction.RELEASE_REFUSED,
        TimelineKind.CONTAINMENT,
    ),
    ApprovalSubject.HOLD_LIFT: (
        case_keys.HOLD_LIFT_APPROVAL,
        CustodyAction.HOLD_LIFT_APPROVED,
        CustodyAction.HOLD_LIFT_REFUSED,
        TimelineKind.CUSTODY,
    ),
}


def question_on_record(store: CaseStore, case_id: str, subject: ApprovalSubject) -> Approval | None:
    """The question or approval on record, for somebody who only reads."""
    return store.get(case_id, _RECORDS[subject][0], Approval)


class Approvals:
    """One subject's approval in one case, seen from one run."""

    def __init__(self, recorder: CaseRecorder, subject: ApprovalSubject) -> None:
        self._recorder = recorder
        self.subject = subject
        self._key, self._approved, self._refused, self._kind = _RECORDS[subject]

    @property
    def item(self) -> str:
        """Sort key of the case's item that is the question and then the approval."""
        return self._key

    def current(self) -> Approval | None:
        """The question or approval on record, of whatever run and plan."""
        return self._recorder.get(self._key, Approval)

    def why_not_usable(self, digest: str) -> str | None:
        """Why this run may not carry out this plan now; None when it may."""
        known = self.current()
        if known is None:
            return "nobody was asked yet"
        return known.why_not_usable(digest=digest, run_id=self._recorder.run.run_id, now=datetime.now(UTC))

    def ask(self, digest: str, *, askers: Askers, two_persons: bool, wait: timedelta) -> Approval:
        """Open the question for this plan in this run; it takes the place of whatever was asked before.

        An open question of the same run and plan keeps what was answered to it. When the run has used an approval already,
        somebody has cleared a step of it, and Airflow does not say who.
        """
        recorder, now = self._recorder, datetime.now(UTC)
        for _ in range(_TRIES):
            before = self.current()
            asked = askers
            if before and before.spent_at and before.run_id == recorder.run.run_id:
                again = "somebody started the step again after its approval was used; Airflow does not say who"
                asked = asked.model_copy(update={"unknown": (*asked.unknown, again)})
            question = Approval(
                digest=digest,
                at=now,
                reason="waits for an answer",
                run_id=recorder.run.run_id,
                step=recorder.step,
                open=True,
                until=now + wait,
                needed=approvers_needed(asked, two_persons=two_persons),
                askers=asked,
                version=(before.version if before else 0) + 1,
            )
            if before and before.open and (before.digest, before.run_id) == (digest, recorder.run.run_id):
                kept = {"approvers": before.approvers, "not_counted": before.not_counted, "askers": before.askers}
                question = question.model_copy(update={**kept, "needed": before.needed})
            if recorder.swap(self._key, question):
                return question
        raise self._contested("open the question")

    def answer(self, response: HumanResponse, *, digest: str, rules: AnswerRules) -> Approval:
        """Record an answer; returns the question as it is afterwards, which may still be open.

        Raises :class:`ApprovalError` when the question is no longer the one on record.
        """
        tried: list[Approval] = []
        for _ in range(_TRIES):
            known = self.current()
            if known is not None and known in tried:
                # written by this call, whose answer was lost on the way
                self._log(known)
                return known
            if known is None or (known.digest, known.run_id) != (digest, self._recorder.run.run_id):
                raise ApprovalError(
                    f"the question of this run about the {self.subject.value} is not the one on record any more"
                    f" ({known.run_id if known else 'none'} asks)",
                    next_action="answer the newer question, or clear the task: it asks again",
                )
            if not known.open:
                return known
            answered = after_answer(known, response, rules=rules, at=datetime.now(UTC))
            if self._recorder.swap(self._key, answered):
                self._log(answered)
                return answered
            tried.append(answered)
        raise self._contested("record the answer")

    def given(self, digest: str) -> Approval | None:
        """The approval of this plan in this run that an earlier try of the step got before it died; the ledger has it from now on."""
        known = self.current()
        if known is None or self.why_not_usable(digest):
            return None
        self._log(known)
        return known

    def use(self, digest: str) -> str | None:
        """Begin, or go on, to carry out the plan under the approval: why that is refused, or None."""
        for _ in range(_TRIES):
            known = self.current()
            if known is None:
                return "nobody was asked yet"
            now = datetime.now(UTC)
            if problem := known.why_not_usable(digest=digest, run_id=self._recorder.run.run_id, now=now):
                return problem
            self._to_ledger(known)
            if known.used_at or self._recorder.swap(self._key, _changed(known, used_at=now)):
                return None
        raise self._contested("use the approval")

    def spend(self) -> None:
        """What was approved has been carried out: the approval counts no more."""
        for _ in range(_TRIES):
            known = self.current()
            if known is None or not known.granted or known.spent_at:
                return
            if self._recorder.swap(self._key, _changed(known, spent_at=datetime.now(UTC))):
                return
        raise self._contested("spend the approval")

    def spent_since(self, began: datetime) -> Approval | None:
        """The approval of this run that was spent since then: an earlier try carried all out, and died before Airflow knew."""
        known = self.current()
        if known is None or known.spent_at is None or known.run_id != self._recorder.run.run_id:
            return None
        return known if known.spent_at >= began else None

    def withdraw(self, why: str) -> None:
        """An approval that was not used up counts no more, because what it was given for has changed."""
        for _ in range(_TRIES):
            known = self.current()
            if known is None or not known.granted or known.spent_at or known.void:
                return
            if self._recorder.swap(self._key, _changed(known, void=why)):
                self._recorder.note(f"the approval of the {self.subject.value} counts no more: {why}", kind=self._kind)
                return
        raise self._contested("withdraw the approval")

    def _log(self, answered: Approval) -> None:
        recorder = self._recorder
        recorder.note(f"{self.subject.value}: {answered.reason}", kind=self._kind, at=answered.at)
        if not answered.open:
            self._to_ledger(answered)

    def _to_ledger(self, answered: Approval) -> None:
        """The decision in the custody ledger, once: also when the process ended between the answer and this."""
        self._recorder.custody(
            self._approved if answered.granted else self._refused,
            detail={
                "plan": answered.digest,
                "run_id": answered.run_id,
                "by": answered.by or "nobody",
                "approvers": [person.model_dump(include={"id", "login"}) for person in answered.approvers],
                "askers": [person.model_dump(include={"id", "login"}) for person in answered.askers.known],
                "askers_unknown": list(answered.askers.unknown),
                "not_counted": list(answered.not_counted),
                "reason": answered.reason,
                "expires_at": answered.expires_at.isoformat() if answered.expires_at else "",
            },
            once=f"approval-{self.subject.value}-{answered.at.isoformat()}",
        )

    def _contested(self, what: str) -> ApprovalError:
        msg = f"{what}: the {self.subject.value} approval of case {self._recorder.case_id} was changed {_TRIES} times meanwhile"
        return ApprovalError(msg, next_action="clear the task: it reads the approval again")


def _changed(known: Approval, **changes: object) -> Approval:
    return known.model_copy(update={**changes, "version": known.version + 1})
