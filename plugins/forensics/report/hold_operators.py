"""Lift the legal holds of a closed case: one person asks, another approves, the ledger has both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics import case_keys
from forensics.aws.s3 import EvidenceStore
from forensics.aws.s3_archive import EvidenceArchive, StoredVersion
from forensics.aws.s3_locks import EvidenceLocks
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.case.step import Json
from forensics.containment.approval_operators import Question, _ApprovalOperator, case_address
from forensics.containment.question_text import QuestionText
from forensics.custody.hold_lift import digest, held, lift, mark
from forensics.errors import ApprovalError, RetentionError
from forensics.models.approval import Approval, ApprovalSubject
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction, HoldLift
from forensics.printable import count, defanged, one_line

LIFT, KEEP = "Lift the holds", "Keep them"
# Who started the run; the form's field counts where Airflow does not know the user.
REQUESTER = "{{ dag_run.triggering_user_name | default(params.requester, true) or '' }}"
START_AGAIN = "What to do next: start evidence_hold_lift again"


class _HoldLiftOperator(_ApprovalOperator):
    """What both steps share: what is held now, and the question whether to lift it."""

    takes_artifacts = True
    about = ApprovalSubject.HOLD_LIFT

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(subject="Lift the legal holds?", options=[LIFT, KEEP], defaults=[KEEP], **kwargs)

    def held_now(self, recorder: CaseRecorder) -> list[StoredVersion]:
        """The case's versions under a legal hold."""
        return held(recorder.case_id, EvidenceArchive.of(self.sessions.forensic("custodian"), self.settings))

    def ask_for(
        self,
        recorder: CaseRecorder,
        versions: Sequence[StoredVersion],
        *,
        requester: str,
        reason: str,
        context: Context,
    ) -> None:
        """Record what is asked, and ask another person, whatever ``approval_two_persons`` says."""
        marks = tuple(mark(version) for version in versions)
        asked = HoldLift(
            digest=digest(recorder.case_id, marks),
            objects=len(marks),
            versions=marks,
            requester=one_line(requester, limit=100)[:100],
            reason=one_line(reason)[:500],
            at=datetime.now(UTC),
        )
        recorder.put(case_keys.HOLD_LIFT, asked)
        size = sum(version.size_bytes for version in versions)
        text = QuestionText(
            effects=(
                f"{count(len(versions), 'object')} ({size} bytes) of case {recorder.case_id} lose their legal hold.",
                "Their retention stays as it is: after its end whoever may delete can delete them.",
            ),
            said=(("Requested by", asked.requester), ("Reason", asked.reason)),
            page=case_address(recorder),
        )
        question = Question(
            digest=asked.digest,
            askers=recorder.run.askers,
            headline=f"Lift {len(versions)} legal holds?",
            text=text,
            event="hold_lift_asked",
        )
        self.ask(recorder, question, context)

    def recorded(self, recorder: CaseRecorder) -> HoldLift:
        """What was asked."""
        asked = recorder.get(case_keys.HOLD_LIFT, HoldLift)
        if asked is None:
            raise AirflowFailException(f"the request is gone from the case store. {START_AGAIN}")
        return asked

    def asked_digest(self, recorder: CaseRecorder) -> str:
        """Digest of the versions that were asked about."""
        return self.recorded(recorder).digest

    def _not_approved(self, recorder: CaseRecorder, asked: HoldLift, versions: Sequence[StoredVersion]) -> str | None:
        if why := self.approvals(recorder).why_not_usable(asked.digest):
            return why
        new = [v.uri for v in versions if mark(v) not in asked.versions]
        return f"held after the approval: {count(len(new), 'object')} ({', '.join(new[:3])})" if new else None


class PlanHoldLiftOperator(_HoldLiftOperator):
    """List the held versions of a closed case and ask another person.

    :param reason: why the holds are lifted; required
    :param requester: who requests it, as text; who may approve follows from the run itself
    """

    template_fields = ("case_id", "reason", "requester")

    def __init__(self, *, reason: str = "{{ params.reason or '' }}", requester: str = REQUESTER, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason
        self.requester = requester

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Refuse an open case and an unknown requester; record what is asked, ask."""
        if not recorder.case.closed:
            raise AirflowFailException("the case is open: its evidence is held until it is closed. Close it first")
        if not (self.requester.strip() and self.reason.strip()):
            raise AirflowFailException(f"a requester and a reason are needed, for the ledger. {START_AGAIN} with both")
        versions = self.held_now(recorder)
        if not versions:
            raise AirflowSkipException("nothing is changed: no object of the case has a legal hold")
        asked = recorder.get(case_keys.HOLD_LIFT, HoldLift)
        if asked is not None and not self._not_approved(recorder, asked, versions):
            given = self.approvals(recorder).given(asked.digest)
            if given is not None:  # the try that asked was answered, and died before it could end
                return self.decided(recorder, given, context)
        self.ask_for(recorder, versions, requester=self.requester, reason=self.reason, context=context)
        return None

    def decided(self, recorder: CaseRecorder, approval: Approval, context: Context) -> Json:
        """Skips when the holds stay."""
        asked = self.recorded(recorder)
        if not approval.granted:
            raise AirflowSkipException(f"the holds stay: {approval.reason}")
        return {"plan": asked.digest, "objects": asked.objects, "approved_by": approval.by}


class LiftHoldsOperator(_HoldLiftOperator):
    """Lift the approved holds under the role ``holds``, record it, sign the ledger. Safe to repeat.

    When the approval was used or has ended, or other objects are held now, this step asks itself.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Check the approval against what is held now, lift, record."""
        if not recorder.case.closed:
            raise AirflowFailException("the case was opened again: its evidence stays held")
        began, asked, approvals = begin(recorder).at, self.recorded(recorder), self.approvals(recorder)
        versions = self.held_now(recorder)
        if not versions and (spent := approvals.spent_since(began)):
            return self._result(asked, spent)
        if self._not_approved(recorder, asked, versions):
            if not versions:
                raise AirflowSkipException("nothing is changed: no object of the case has a legal hold")
            known = approvals.current()
            if known is not None and known.open and (known.run_id, known.step) != (recorder.run.run_id, self.task_id):
                msg = f"a question about these holds is open in {known.step} of run {known.run_id}: answer it there"
                raise AirflowFailException(msg)
            self.ask_for(recorder, versions, requester=asked.requester, reason=asked.reason, context=context)
        refused, approval = approvals.use(asked.digest), approvals.current()
        if refused or approval is None:
            raise ApprovalError(f"nothing was lifted: {refused}", next_action="clear the task: it asks again")
        return self._lift(recorder, asked, approval, versions)

    def decided(self, recorder: CaseRecorder, approval: Approval, context: Context) -> Json:
        """The answer to this step's own question."""
        if not approval.granted:
            raise AirflowSkipException(f"the holds stay: {approval.reason}")
        return self.act(recorder, context)

    def _lift(
        self, recorder: CaseRecorder, asked: HoldLift, approval: Approval, versions: Sequence[StoredVersion]
    ) -> Json:
        custodian, settings = self.sessions.forensic("custodian"), self.settings
        failures = lift(versions, EvidenceLocks.of(self.sessions.forensic("holds"), settings))
        # what was asked about, not what was left for this try: one that died has lifted some already
        lifted = f"{asked.objects - len(failures)} of {asked.objects}"
        recorder.custody(
            CustodyAction.HOLDS_LIFTED,
            detail={
                "plan": asked.digest,
                "objects": asked.objects - len(failures),
                "requester": asked.requester,
                "by": approval.by,
                "reason": asked.reason,
                "failures": [problem[:500] for problem in failures[:50]],
            },
        )
        recorder.note(f"legal holds lifted: {lifted}", kind=TimelineKind.CUSTODY)
        if failures:
            msg = f"{len(failures)} of {asked.objects} holds were not lifted: {'; '.join(failures[:5])}"
            raise RetentionError(msg, next_action="remove the cause and clear lift_holds: it lifts only what is left")
        recorder.put(case_keys.HOLD_LIFT, asked.model_copy(update={"lifted_at": datetime.now(UTC)}))
        # the signed head of this is not held itself, or nothing could ever be removed
        unheld = EvidenceStore.of(custodian, settings.model_copy(update={"legal_hold": False}))
        recorder.gateways.ledger.sign_head(recorder.case_id, phase="holds", evidence=unheld)
        recorder.announce(
            "holds_lifted",
            f"Legal holds lifted: {count(asked.objects, 'object')}",
            lines=[defanged(f"Requested by {asked.requester}: {asked.reason}"), defanged(f"Approved by {approval.by}")],
            once=False,
        )
        # Last: with it the step is done, and a try that died before it says everything again, each of it once.
        self.approvals(recorder).spend()
        return self._result(asked, approval)

    @staticmethod
    def _result(asked: HoldLift, approval: Approval) -> Json:
        return {"objects": asked.objects, "requester": asked.requester, "approved_by": approval.by}
