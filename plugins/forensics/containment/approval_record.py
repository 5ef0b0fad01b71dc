"""Records a person's answer to a plan: in the case, in the custody ledger and in the timeline."""

from __future__ import annotations

from enum import StrEnum

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.containment.announcements import note
from forensics.models.containment import Approval
from forensics.models.custody import CustodyAction


class ApprovalSubject(StrEnum):
    """What a person is asked to approve."""

    CONTAINMENT = "containment"
    RELEASE = "release"


_RECORDS = {
    ApprovalSubject.CONTAINMENT: (
        case_keys.APPROVAL,
        CustodyAction.CONTAINMENT_APPROVED,
        CustodyAction.CONTAINMENT_REFUSED,
    ),
    ApprovalSubject.RELEASE: (
        case_keys.RELEASE_APPROVAL,
        CustodyAction.RELEASE_APPROVED,
        CustodyAction.RELEASE_REFUSED,
    ),
}


def record_approval(recorder: CaseRecorder, subject: ApprovalSubject, approval: Approval) -> None:
    """Write down who answered what, and for which plan."""
    key, approved, refused = _RECORDS[subject]
    recorder.put(key, approval)
    recorder.custody(
        approved if approval.granted else refused,
        detail={"plan": approval.digest, "by": approval.by or "nobody", "reason": approval.reason},
    )
    note(recorder, f"{subject.value} {'approved' if approval.granted else 'refused'}: {approval.reason}")
