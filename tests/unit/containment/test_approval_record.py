"""The life of an approval in the case store: one item, changed by conditional writes alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.case.persons import StepRun
from forensics.containment.approval import AnswerRules, HumanResponse
from forensics.containment.approval_record import Approvals
from forensics.errors import ApprovalError
from forensics.models.approval import Approval, ApprovalSubject, Askers, Person
from forensics.models.custody import CustodyAction
from tests.unit.builders import NOW
from tests.unit.recorders import FakeRecorder

DIGEST, OTHER = "d" * 64, "e" * 64
RULES = AnswerRules(accept="Yes", two_persons=True, valid=timedelta(hours=1))
BY_ALICE = Askers(known=(Person(login="alice"),))
WAIT = timedelta(minutes=10)


def recorder_of(run_id: str = "run-1", *, beside: FakeRecorder | None = None) -> FakeRecorder:
    """A recorder of a run, perhaps on the same case as another's."""
    made = FakeRecorder()
    made.run = StepRun(run_id, "forensic_release")
    if beside is not None:
        made.gateways = beside.gateways
        made.store, made.ledger = beside.store, beside.ledger
    return made


def by(user: str, option: str = "Yes") -> HumanResponse:
    """A person's answer."""
    return HumanResponse.model_validate({"chosen_options": [option], "responded_by_user": {"id": user, "name": user}})


def of(recorder: FakeRecorder, subject: ApprovalSubject = ApprovalSubject.RELEASE) -> Approvals:
    """The approvals of a run."""
    return Approvals(recorder, subject)


def ask(approvals: Approvals, *, digest: str = DIGEST, askers: Askers = BY_ALICE) -> Approval:
    """Open the question."""
    return approvals.ask(digest, askers=askers, two_persons=True, wait=WAIT)


@pytest.mark.parametrize(
    ("subject", "key", "option", "action"),
    [
        (ApprovalSubject.CONTAINMENT, case_keys.APPROVAL, "Yes", CustodyAction.CONTAINMENT_APPROVED),
        (ApprovalSubject.CONTAINMENT, case_keys.APPROVAL, "No", CustodyAction.CONTAINMENT_REFUSED),
        (ApprovalSubject.RELEASE, case_keys.RELEASE_APPROVAL, "Yes", CustodyAction.RELEASE_APPROVED),
        (ApprovalSubject.RELEASE, case_keys.RELEASE_APPROVAL, "No", CustodyAction.RELEASE_REFUSED),
        (ApprovalSubject.HOLD_LIFT, case_keys.HOLD_LIFT_APPROVAL, "Yes", CustodyAction.HOLD_LIFT_APPROVED),
        (ApprovalSubject.HOLD_LIFT, case_keys.HOLD_LIFT_APPROVAL, "No", CustodyAction.HOLD_LIFT_REFUSED),
    ],
)
def test_an_answer_is_in_the_case_the_ledger_and_the_timeline(
    subject: ApprovalSubject, key: str, option: str, action: CustodyAction
) -> None:
    recorder = recorder_of()
    ask(of(recorder, subject))
    found = of(recorder, subject).answer(by("bob", option), digest=DIGEST, rules=RULES)
    assert recorder.get(key, Approval) == found and found.version == 2
    detail = recorder.ledger.last(action).detail
    assert (detail["plan"], detail["by"], detail["run_id"]) == (DIGEST, "bob", "run-1")
    assert detail["askers"] == [{"id": None, "login": "alice"}]
    assert recorder.notes == [f"{subject.value}: {'approved' if option == 'Yes' else 'refused'} by bob"]


def test_what_was_carried_out_since_the_step_began_is_not_asked_about_again() -> None:
    """Found by tests/crash: a release that died after its last write was followed by a try that skipped."""
    recorder = recorder_of()
    began, approvals = datetime.now(UTC), of(recorder)
    ask(approvals)
    approvals.answer(by("bob"), digest=DIGEST, rules=RULES)
    assert approvals.spent_since(began) is None, "approved, and not carried out"
    assert approvals.use(DIGEST) is None
    approvals.spend()
    assert approvals.spent_since(began) == approvals.current()
    assert approvals.spent_since(datetime.now(UTC)) is None, "somebody has cleared the step since"
    assert of(recorder_of("run-2", beside=recorder)).spent_since(began) is None, "another run's"


def test_the_whole_life_of_an_approval() -> None:
    recorder = recorder_of()
    approvals = of(recorder)
    assert approvals.why_not_usable(DIGEST) == "nobody was asked yet" == approvals.use(DIGEST)
    opened = ask(approvals)
    assert opened.until is not None and opened.until - opened.at == WAIT and opened.needed == 1
    assert approvals.use(DIGEST) == "it waits for an answer"
    assert approvals.answer(by("alice"), digest=DIGEST, rules=RULES).open
    assert approvals.answer(by("bob"), digest=DIGEST, rules=RULES).granted
    assert "the plan changed" in (approvals.use(OTHER) or "")
    assert approvals.use(DIGEST) is None and approvals.use(DIGEST) is None, "the same run goes on"
    approvals.spend()
    assert "counts once" in (approvals.use(DIGEST) or "")
    again = ask(approvals)
    assert again.needed == 2, "a step of the run was cleared, by whom is not known"
    assert approvals.use(DIGEST) == "it waits for an answer"
    assert recorder.ledger.actions() == [CustodyAction.RELEASE_APPROVED]


def test_of_two_answers_that_arrive_together_one_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = recorder_of()
    approvals = of(recorder)
    ask(approvals)
    real = recorder.swap

    def second_first(key: str, value: Any) -> bool:
        monkeypatch.setattr(recorder, "swap", real)
        of(recorder).answer(by("carol", "No"), digest=DIGEST, rules=RULES)
        return real(key, value)

    monkeypatch.setattr(recorder, "swap", second_first)
    found = approvals.answer(by("bob"), digest=DIGEST, rules=RULES)
    assert not found.granted and found.reason == "refused by carol"
    assert recorder.ledger.actions() == [CustodyAction.RELEASE_REFUSED]


def test_an_answer_whose_write_was_confirmed_too_late_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try was written and its answer lost: the client's own second try finds another version."""
    recorder = recorder_of()
    approvals = of(recorder)
    ask(approvals)
    real = recorder.swap

    def lost(key: str, value: Any) -> bool:
        monkeypatch.setattr(recorder, "swap", real)
        return real(key, value) and False

    monkeypatch.setattr(recorder, "swap", lost)
    assert approvals.answer(by("bob"), digest=DIGEST, rules=RULES).granted
    assert recorder.ledger.actions() == [CustodyAction.RELEASE_APPROVED]


def test_a_process_that_ends_before_the_ledger_has_the_answer_writes_it_before_the_use() -> None:
    recorder = recorder_of()
    approvals = of(recorder)
    ask(approvals)
    approvals.answer(by("bob"), digest=DIGEST, rules=RULES)
    granted = approvals.current()
    fresh = recorder_of()
    assert granted is not None
    fresh.put(case_keys.RELEASE_APPROVAL, granted)
    assert of(fresh).use(DIGEST) is None and of(fresh).use(DIGEST) is None
    assert fresh.ledger.actions() == [CustodyAction.RELEASE_APPROVED]


def test_a_question_repeated_in_the_same_run_keeps_its_answers() -> None:
    recorder = recorder_of()
    approvals = of(recorder)
    ask(approvals, askers=Askers(unknown=("somebody",)))
    approvals.answer(by("bob"), digest=DIGEST, rules=RULES)
    again = ask(approvals, askers=Askers(unknown=("somebody",)))
    assert [p.login for p in again.approvers] == ["bob"] and again.needed == 2
    assert approvals.answer(by("carol"), digest=DIGEST, rules=RULES).granted


def test_an_approval_of_another_run_is_not_this_ones() -> None:
    first = recorder_of()
    ask(of(first))
    of(first).answer(by("bob"), digest=DIGEST, rules=RULES)
    second = recorder_of("run-2", beside=first)
    assert "is for run run-1, this is run-2" in (of(second).use(DIGEST) or "")
    ask(of(second))
    with pytest.raises(ApprovalError, match=r"not the one on record any more \(run-2 asks\)"):
        of(first).answer(by("bob"), digest=DIGEST, rules=RULES)


def test_what_was_approved_and_not_used_up_can_be_withdrawn() -> None:
    recorder = recorder_of()
    approvals = of(recorder)
    approvals.withdraw("nothing is there")
    ask(approvals)
    approvals.withdraw("an open question stays open")
    approvals.answer(by("bob"), digest=DIGEST, rules=RULES)
    approvals.withdraw("the target was contained again")
    assert approvals.use(DIGEST) == "the approval counts no more: the target was contained again"
    assert recorder.notes[-1].endswith("counts no more: the target was contained again")


def test_an_item_of_an_earlier_release_is_replaced_by_the_next_question() -> None:
    recorder = recorder_of()
    recorder.put(case_keys.RELEASE_APPROVAL, Approval(digest=DIGEST, granted=True, by="bob", at=NOW, reason="approved"))
    assert of(recorder).use(DIGEST) is not None
    assert ask(of(recorder)).version == 1


def test_an_item_that_never_comes_to_rest_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = recorder_of()
    monkeypatch.setattr(recorder, "swap", lambda key, value: False)
    with pytest.raises(ApprovalError, match="was changed 8 times meanwhile"):
        ask(of(recorder))
