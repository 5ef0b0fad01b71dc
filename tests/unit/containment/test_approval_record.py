"""Where an answer is written down."""

from __future__ import annotations

import pytest

from forensics import case_keys
from forensics.containment.approval_record import ApprovalSubject, record_approval
from forensics.models.containment import Approval
from forensics.models.custody import CustodyAction
from tests.unit.builders import NOW
from tests.unit.recorders import FakeRecorder


@pytest.mark.parametrize(
    ("subject", "key", "granted", "action"),
    [
        (ApprovalSubject.CONTAINMENT, case_keys.APPROVAL, True, CustodyAction.CONTAINMENT_APPROVED),
        (ApprovalSubject.CONTAINMENT, case_keys.APPROVAL, False, CustodyAction.CONTAINMENT_REFUSED),
        (ApprovalSubject.RELEASE, case_keys.RELEASE_APPROVAL, True, CustodyAction.RELEASE_APPROVED),
        (ApprovalSubject.RELEASE, case_keys.RELEASE_APPROVAL, False, CustodyAction.RELEASE_REFUSED),
    ],
)
def test_an_answer_is_in_the_case_the_ledger_and_the_timeline(
    subject: ApprovalSubject, key: str, granted: bool, action: CustodyAction
) -> None:
    recorder = FakeRecorder()
    approval = Approval(digest="d" * 64, granted=granted, by=None, at=NOW, reason="nobody answered")
    record_approval(recorder, subject, approval)
    assert recorder.get(key, Approval) == approval
    detail = recorder.ledger.last(action).detail
    assert (detail["plan"], detail["by"], detail["reason"]) == ("d" * 64, "nobody", "nobody answered")
    assert recorder.notes == [f"{subject.value} {'approved' if granted else 'refused'}: nobody answered"]
