"""The first step of a case's run: requests are admitted or refused, and the opening is on record."""

from __future__ import annotations

from datetime import datetime

import pytest

from forensics import case_keys
from forensics.case.retention import lifted
from forensics.errors import CaseConflictError, InvalidCaseError
from forensics.intake.admission import Admission, CaseAdmission
from forensics.intake.case_opening import (
    REOPENED,
    announce_refusal,
    hold_again,
    open_requested_case,
    record_opening,
)
from forensics.intake.manual_request import ManualRequest
from forensics.models.approval import Person
from forensics.models.case import Case, CaseStatus, Milestone
from forensics.models.custody import CustodyAction, HoldLift, Retention
from forensics.models.finding import Finding
from forensics.models.intake import AdmissionOutcome
from forensics.settings import load
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, NOW, REGION, case, finding, said
from tests.unit.case.test_retention import Keeping
from tests.unit.recorders import FakeRecorder, Mailbox

REQUEST = ManualRequest(ACCOUNT, REGION, INSTANCE, reason="ticket 4711")


class AdmissionWith(CaseAdmission):
    """Admits every finding with one outcome."""

    def __init__(self, outcome: AdmissionOutcome, holder: Case) -> None:
        self._answer = outcome, holder
        self.admitted: list[Finding] = []

    def admit(self, finding: Finding, *, received_at: datetime, run_id: str | None = None) -> Admission:
        self.admitted.append(finding)
        assert (received_at, run_id) == (NOW, "manual__1")
        return Admission(*self._answer, finding)


def opened(admission: CaseAdmission) -> str:
    return open_requested_case(admission, REQUEST, run_id="manual__1", requested_at=NOW, user=Person(login="ada.l"))


@pytest.mark.parametrize("outcome", [AdmissionOutcome.OPENED, AdmissionOutcome.EXISTS])
def test_a_request_opens_its_case_also_when_the_task_is_repeated(outcome: AdmissionOutcome) -> None:
    admission = AdmissionWith(outcome, case(run_id="manual__1"))
    assert opened(admission) == CASE_ID
    assert admission.admitted[0].requester == "Airflow user ada.l"


@pytest.mark.parametrize(
    ("outcome", "run_id"),
    [
        (AdmissionOutcome.JOINED, "manual__1"),
        (AdmissionOutcome.RAISED, "manual__1"),
        (AdmissionOutcome.EXISTS, "another"),
    ],
)
def test_an_instance_with_an_open_case_is_refused(outcome: AdmissionOutcome, run_id: str) -> None:
    with pytest.raises(CaseConflictError, match=f"{INSTANCE} already has an open case: {CASE_ID}") as caught:
        opened(AdmissionWith(outcome, case(run_id=run_id)))
    assert caught.value.next_action == f"continue in the run of case {CASE_ID}; the request was noted there"


def recorder(item: Finding) -> FakeRecorder:
    made = FakeRecorder(case(status=CaseStatus.FAILED))
    made.store.put(CASE_ID, case_keys.finding(item), item)
    return made


def test_the_opening_is_recorded_once_however_often_the_step_is_repeated() -> None:
    made = recorder(finding())
    for _ in range(2):
        record_opening(made, run_id="run-1")
    assert (made.case_now().run_id, made.case_now().status) == ("run-1", CaseStatus.OPEN)
    assert CASE_ID in made.store.locks
    assert made.ledger.actions() == [CustodyAction.CASE_OPENED]
    assert made.ledger.last(CustodyAction.CASE_OPENED).detail["run_id"] == "run-1"
    assert sorted(made.notes) == ["case opened", "finding: C2 traffic (HIGH, guardduty)"]
    assert made.subjects == [said("Case opened: C2 traffic")]


@pytest.mark.parametrize("dated", [True, False])
def test_the_findings_own_time_is_a_milestone_where_it_has_one(dated: bool) -> None:
    made = recorder(finding(created_at=NOW if dated else None))
    record_opening(made, run_id="run-1")
    names = {sk.removeprefix(case_keys.MILESTONE) for sk, _ in made.store.items(CASE_ID, case_keys.MILESTONE)}
    expected = {Milestone.RECEIVED, Milestone.OPENED, *([Milestone.FINDING_EVENT] if dated else [])}
    assert names == {milestone.value for milestone in expected}


@pytest.mark.parametrize("failures", [(), ("snap-1 is gone",)])
def test_evidence_of_a_case_that_is_open_again_is_held_again(
    failures: tuple[str, ...], settings_environment: dict[str, str]
) -> None:
    made, keeping = recorder(finding()), Keeping(*failures)
    lift = HoldLift(digest="0" * 64, objects=1, requester="a", reason="b", at=NOW, lifted_at=NOW)
    made.put(case_keys.HOLD_LIFT, lift)
    hold_again(made, keeping, load(settings_environment))
    assert keeping.asked[0][1], "also what two people had lifted"
    assert not lifted(made)
    known = made.get(case_keys.RETENTION, Retention)
    assert known and known.basis == "open"
    assert (REOPENED in made.store.failures(CASE_ID)) is bool(failures)


def test_a_refusal_is_announced_with_the_reason_and_the_next_action() -> None:
    mailbox = Mailbox()
    announce_refusal(mailbox, REQUEST, InvalidCaseError("the request is not valid", next_action="start again"))
    (mail,) = mailbox.mail
    assert (mail.event, mail.subject) == ("request_refused", "Forensic case refused: InvalidCaseError")
    assert mail.lines == ["the request is not valid", "What to do next: start again"]
    assert mail.facts == {"instance_id": INSTANCE, "account_id": ACCOUNT}
