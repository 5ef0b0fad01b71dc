"""Lift the legal holds of a closed case: one person asks, another approves, the ledger has both."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from forensics import case_keys
from forensics.aws.s3 import EvidenceStore
from forensics.aws.s3_archive import EvidenceArchive
from forensics.aws.s3_locks import EvidenceLocks
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.containment.approval import HumanResponse, approval_of
from forensics.containment.approval_operators import _ApprovalOperator
from forensics.custody.hold_lift import digest, held, lift, mark
from forensics.errors import RetentionError
from forensics.models.case import TimelineKind
from forensics.models.containment import Approval
from forensics.models.custody import CustodyAction, HoldLift

LIFT, KEEP = "Lift the holds", "Keep them"
# Who started the run; the form's field counts where Airflow does not know the user.
REQUESTER = "{{ dag_run.triggering_user_name | default(params.requester, true) or '' }}"
START_AGAIN = "What to do next: start evidence_hold_lift again"


class PlanHoldLiftOperator(_ApprovalOperator):
    """List the held versions of a closed case and ask a second person, whatever ``approval_two_persons`` says.

    :param reason: why the holds are lifted; required
    :param requester: who requests it, and so may not approve it
    """

    template_fields = ("case_id", "reason", "requester")

    def __init__(self, *, reason: str = "{{ params.reason or '' }}", requester: str = REQUESTER, **kwargs: Any) -> None:
        super().__init__(subject="Lift the legal holds?", options=[LIFT, KEEP], defaults=[KEEP], **kwargs)
        self.reason = reason
        self.requester = requester

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Refuse an open case and an unknown requester; record what is asked, ask."""
        if not recorder.case.closed:
            raise AirflowFailException("the case is open: its evidence is held until it is closed. Close it first")
        if not (self.requester.strip() and self.reason.strip()):
            raise AirflowFailException(f"a requester and a reason are needed, for the ledger. {START_AGAIN} with both")
        versions = held(recorder.case_id, EvidenceArchive.of(self.sessions.forensic("custodian"), self.settings))
        if not versions:
            raise AirflowSkipException("nothing is changed: no object of the case has a legal hold")
        marks = tuple(mark(version) for version in versions)
        asked = HoldLift(
            digest=digest(recorder.case_id, marks),
            objects=len(marks),
            versions=marks,
            requester=self.requester.strip()[:100],
            reason=self.reason.strip()[:500],
            at=datetime.now(UTC),
        )
        recorder.put(case_keys.HOLD_LIFT, asked)
        size = sum(version.size_bytes for version in versions)
        body = (
            f"{asked.requester} asks to lift the legal holds of {len(versions)} objects ({size} bytes) of case "
            f"{recorder.case_id}: {asked.reason}\n\nTheir retention stays as it is. Without an answer they stay held."
        )
        recorder.announce("hold_lift_asked", "Approval needed: lift legal holds", lines=body.split("\n\n"), once=False)
        self.ask(f"Lift the legal holds of {recorder.case_id}?", body, default=KEEP, context=context)
        return None

    def answered(self, recorder: CaseRecorder, response: HumanResponse) -> Json:
        """Record the answer; skips when the holds stay."""
        asked = recorder.get(case_keys.HOLD_LIFT, HoldLift)
        if asked is None:
            raise AirflowFailException(f"the request is gone from the case store. {START_AGAIN}")
        approval = approval_of(
            response,
            digest=asked.digest,
            accept=LIFT,
            requester=asked.requester,
            two_persons=True,
            at=datetime.now(UTC),
        )
        recorder.put(case_keys.HOLD_LIFT_APPROVAL, approval)
        recorder.custody(
            CustodyAction.HOLD_LIFT_APPROVED if approval.granted else CustodyAction.HOLD_LIFT_REFUSED,
            detail={
                "plan": asked.digest,
                "requester": asked.requester,
                "by": approval.by or "nobody",
                "reason": approval.reason,
            },
        )
        recorder.note(f"lifting the legal holds: {approval.reason}", kind=TimelineKind.CUSTODY)
        if not approval.granted:
            raise AirflowSkipException(f"the holds stay: {approval.reason}")
        return {"plan": asked.digest, "objects": asked.objects, "approved_by": approval.by}


class LiftHoldsOperator(ForensicOperator):
    """Lift the approved holds under the role ``holds``, record it, sign the ledger. Safe to repeat."""

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Check the approval against what is held now, lift, record."""
        asked = recorder.get(case_keys.HOLD_LIFT, HoldLift)
        approval = recorder.get(case_keys.HOLD_LIFT_APPROVAL, Approval)
        if asked is None or approval is None or not approval.granted or approval.digest != asked.digest:
            raise AirflowFailException(f"there is no approval of this request. {START_AGAIN}")
        if not recorder.case.closed:
            raise AirflowFailException("the case was opened again: its evidence stays held")
        custodian, settings = self.sessions.forensic("custodian"), self.settings
        versions = held(recorder.case_id, EvidenceArchive.of(custodian, settings))
        if new := [v.uri for v in versions if mark(v) not in asked.versions]:
            raise AirflowFailException(
                f"{len(new)} objects were held after the approval ({', '.join(new[:3])}): refused. {START_AGAIN}"
            )
        failures = lift(versions, EvidenceLocks.of(self.sessions.forensic("holds"), settings))
        recorder.custody(
            CustodyAction.HOLDS_LIFTED,
            detail={
                "plan": asked.digest,
                "objects": len(versions) - len(failures),
                "requester": asked.requester,
                "by": approval.by,
                "reason": asked.reason,
                "failures": [problem[:500] for problem in failures[:50]],
            },
        )
        recorder.note(
            f"legal holds lifted: {len(versions) - len(failures)} of {len(versions)}", kind=TimelineKind.CUSTODY
        )
        if failures:
            msg = f"{len(failures)} of {len(versions)} holds were not lifted: {'; '.join(failures[:5])}"
            raise RetentionError(msg, next_action="remove the cause and clear lift_holds: it lifts only what is left")
        recorder.put(case_keys.HOLD_LIFT, asked.model_copy(update={"lifted_at": datetime.now(UTC)}))
        # the signed head of this is not held itself, or nothing could ever be removed
        unheld = EvidenceStore.of(custodian, settings.model_copy(update={"legal_hold": False}))
        recorder.gateways.ledger.sign_head(recorder.case_id, phase="holds", evidence=unheld)
        recorder.announce(
            "holds_lifted",
            f"Legal holds lifted: {len(versions)} objects",
            lines=[f"Requested by {asked.requester}: {asked.reason}", f"Approved by {approval.by}"],
            once=False,
        )
        return {"objects": len(versions), "requester": asked.requester, "approved_by": approval.by}
