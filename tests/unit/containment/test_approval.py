"""Who may approve, what an answer counts, and what may be carried out under an approval."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forensics.containment.approval import (
    AnswerRules,
    HumanResponse,
    Withheld,
    abandoned,
    after_answer,
    approvers_needed,
    isolation_askers,
    why_not_restored,
    withheld,
)
from forensics.models.approval import Approval, Askers, Person
from forensics.models.evidence import Outcome
from forensics.models.finding import CustomAction, Finding, FindingSource, RequestSignature
from tests.unit.builders import NOW, finding
from tests.unit.containment.targets import eni, everything, granted, planned

DIGEST = "d" * 64
ALICE = Person(login="alice")
BY_ALICE = Askers(known=(ALICE,))
RULES = AnswerRules(accept="Isolate", two_persons=True, valid=timedelta(hours=1))


def question(*, askers: Askers = BY_ALICE, **changes: Any) -> Approval:
    """An open question, asked for by alice."""
    needed = approvers_needed(askers, two_persons=True)
    given = {"digest": DIGEST, "open": True, "at": NOW, "reason": "waits", "askers": askers, "needed": needed}
    return Approval(**{**given, **changes})


def by(id: Any, option: str = "Isolate", *, name: str | None = None, **more: Any) -> HumanResponse:
    """A person's choice as Airflow's event has it; without an id nobody answered."""
    user = {"id": id, "name": id if name is None else name} if id else None
    event = {"chosen_options": [option], "responded_by_user": user, "timedout": id is None, "params_input": {}, **more}
    return HumanResponse.model_validate(event)


def answered(asked: Approval, *responses: HumanResponse, rules: AnswerRules = RULES) -> Approval:
    """The question after these answers."""
    for response in responses:
        asked = after_answer(asked, response, rules=rules, at=NOW)
    return asked


@pytest.mark.parametrize(
    ("response", "is_granted", "who", "reason"),
    [
        (by("bob"), True, "bob", "approved by bob"),
        (by("bob", "Do not isolate"), False, "bob", "refused by bob"),
        (by("alice", "Do not isolate"), False, "alice", "refused by alice"),
        (by(None), True, None, "nobody answered in time; policy's default counts"),
        (by(None, "Do not isolate"), False, None, "nobody answered in time; policy's default counts"),
        (by("bob", timedout=True), True, None, "nobody answered in time; policy's default counts"),
        (
            HumanResponse.model_validate({"error": "no such option", "error_type": "validation"}),
            False,
            None,
            "no valid answer: no such option",
        ),
    ],
)
def test_what_an_answer_grants(response: HumanResponse, is_granted: bool, who: str | None, reason: str) -> None:
    found = answered(question(), response)
    assert (found.granted, found.by, found.reason, found.open) == (is_granted, who, reason, False)
    assert found.expires_at == (NOW + timedelta(hours=1) if is_granted else None)
    assert found.version == 1


@pytest.mark.parametrize(
    ("asker", "response"),
    [
        (Person(login="alice"), by("alice")),
        (Person(login="alice"), by("Alice", name="ALICE")),
        # the auth manager's id is the login (SimpleAuthManager), and the display name was changed
        (Person(login="alice"), by("alice", name="Alice Liddell")),
        # FAB: a numeric id, and the login that the run has
        (Person(login="alice"), by(7, name="alice")),
        (Person(id="7", login="alice"), by(7, name="not-alice-any-more")),
        (Person(id="7"), by("7", name="")),
    ],
)
def test_whoever_asked_does_not_approve_and_the_question_stays_open(asker: Person, response: HumanResponse) -> None:
    found = answered(question(askers=Askers(known=(asker,))), response)
    assert found.open and not found.granted and found.approvers == ()
    assert found.not_counted[0].endswith("asked for it and may not approve it")
    assert found.reason.endswith("still open")
    assert answered(found, by("bob")).granted


def test_an_id_that_was_seen_once_is_known_under_every_later_name() -> None:
    """Of who started a run Airflow has the login alone; the first answer shows the id."""
    found = answered(question(), by(7, name="alice"), by(7, name="renamed"))
    assert found.open and len(found.not_counted) == 2
    assert Person(id="7", login="alice") in found.askers.known


def test_where_nobody_knows_who_asked_two_different_people_approve() -> None:
    asked = question(askers=Askers(unknown=("Security Hub does not say who pressed ForensicIsolate",)))
    assert asked.needed == 2
    first = answered(asked, by(7, name="bob"))
    assert first.open and not first.granted and "1 other person has to approve it too" in first.reason
    same = answered(first, by(7, name="bob under another name"))
    assert same.open and not same.granted and "has approved it already" in same.reason
    both = answered(same, by(8, name="carol"))
    assert both.granted and both.by == "bob (user id 7) and carol (user id 8)"
    assert not answered(first, by(8, "Do not isolate", name="carol")).granted


@pytest.mark.parametrize("earlier", [by("alice"), by("bob")])
def test_a_question_that_was_answered_and_not_decided_is_no_regular_end(earlier: HumanResponse) -> None:
    asked = question(askers=Askers(known=(ALICE,), unknown=("somebody",)))
    end = answered(asked, earlier, by(None, "Do not isolate"))
    assert not end.granted and abandoned(end) and end.reason.startswith("nobody else answered in time (")
    assert not abandoned(answered(asked, by(None, "Do not isolate")))
    assert not abandoned(answered(asked, earlier, by("carol", "Do not isolate")))


def test_one_person_is_enough_where_the_settings_say_so() -> None:
    alone = AnswerRules(accept="Isolate", two_persons=False, valid=timedelta(hours=1))
    assert answered(question(needed=1), by("alice"), rules=alone).granted
    assert approvers_needed(Askers(unknown=("somebody",)), two_persons=False) == 1


# ---------------------------------------------------------------------- who asked
def manual(**changes: Any) -> Finding:
    """A request that a person made in Airflow."""
    return finding(source=FindingSource.MANUAL, key="manual-1", **changes)


def test_persons_of_all_findings_and_of_the_run_asked() -> None:
    bob, carol = Person(login="bob"), Person(login="carol")
    found = isolation_askers(
        [finding(), manual(asked_by=bob), manual(asked_by=carol, requested={"disk": True})], run=Askers(known=(ALICE,))
    )
    assert found.known == (ALICE, bob, carol) and found.unknown == ()


def test_nobody_asked_for_what_a_finding_and_the_policy_want() -> None:
    run = Askers(unknown=("Airflow does not say who started the run",))
    assert isolation_askers([finding()], run=run) == Askers()


SIGNED = RequestSignature(key_id="k", value="x" * 8, message="{}", nonce="n" * 16, expires_at=NOW)


@pytest.mark.parametrize(
    ("asked", "unknown"),
    [
        (finding(action=CustomAction.ISOLATE), True),
        (finding(action=CustomAction.FULL), True),
        (finding(action=CustomAction.TRIAGE), False),
        (manual(), True),
        (manual(requested={"memory": True}), False),
        (manual(requested={"isolate": True}), True),
        (manual(requested={"isolate": True}, asked_by=ALICE), False),
        (manual(requested={"isolate": True}, asked_by=Person(login="A. L.", unique=False)), True),
        (manual(signature=SIGNED), False),
        (manual(signature=SIGNED, requested={"isolate": True}), True),
    ],
)
def test_an_order_to_isolate_without_a_known_person_takes_two(asked: Finding, unknown: bool) -> None:
    found = isolation_askers([finding(), asked], run=Askers())
    assert bool(found.unknown) is unknown


# ---------------------------------------------------------------------- what may be carried out
RUN = "run-1"


def held_back(plan: Any, *, remaining: Any = None, approval: Approval | None, run_id: str = RUN) -> Withheld | None:
    """Why the plan is withheld now."""
    return withheld(plan, remaining=remaining or plan, approval=approval, run_id=run_id, now=NOW)


def test_a_plan_without_approval_needs_no_answer() -> None:
    assert held_back(planned(everything()), approval=None) is None


def test_a_plan_waits_for_its_answer_and_follows_it() -> None:
    plan = planned(everything(), approval=("production",))
    waiting = Withheld(Outcome.PENDING, "isolation waits for a person's approval")
    assert held_back(plan, approval=None) == waiting
    assert held_back(plan, approval=granted(plan.digest, granted=False, open=True)) == waiting
    refused = granted(plan.digest, granted=False, reason="refused by bob")
    assert held_back(plan, approval=refused) == Withheld(Outcome.SKIPPED, "not approved: refused by bob")
    assert held_back(plan, approval=granted(plan.digest)) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"digest": DIGEST}, "the plan changed after approval (approved dddddddddddd, now "),
        ({"run_id": "another"}, "the approval is for run another, this is run-1"),
        ({"expires_at": NOW}, "the approval ended at 2026-"),
        ({"expires_at": None}, "the approval ended at "),
        ({"spent_at": NOW}, "the approval was used at 2026-"),
        ({"void": "the target was released"}, "the approval counts no more: the target was released"),
    ],
)
def test_an_approval_that_does_not_cover_this_is_asked_for_again(changes: dict[str, Any], why: str) -> None:
    plan = planned(everything(), approval=("production",))
    found = held_back(plan, approval=granted(plan.digest).model_copy(update=changes))
    assert found is not None and found.outcome is Outcome.PENDING
    assert found.reason.startswith(why) and found.reason.endswith("isolation waits for another approval")


def test_steps_that_were_not_approved_are_not_carried_out() -> None:
    plan = planned(everything(), approval=("production",))
    grown = planned(everything(interfaces=(*everything().interfaces, eni(2))), approval=("production",))
    found = held_back(plan, remaining=grown, approval=granted(plan.digest))
    assert found is not None and found.outcome is Outcome.PENDING and "isolate.open.eni-2" in found.reason


def test_looking_again_at_what_was_carried_out_needs_no_second_approval() -> None:
    plan = planned(everything(), approval=("production",))
    used = granted(plan.digest, spent_at=NOW)
    assert held_back(plan, remaining=plan.with_steps(()), approval=used) is None
    assert held_back(plan, remaining=plan.with_steps(()), approval=used, run_id="another") is not None


def test_an_approval_that_only_the_target_as_it_is_needs_is_waited_for() -> None:
    plan = planned(everything())
    found = held_back(plan, remaining=planned(everything(), approval=("a later finding",)), approval=None)
    assert found is not None and found.outcome is Outcome.PENDING


def test_an_approval_of_an_earlier_release_counts_no_more() -> None:
    old = Approval.model_validate(
        {"digest": DIGEST, "granted": True, "by": "bob", "at": NOW, "reason": "approved by bob"}
    )
    assert (
        old.why_not_usable(digest=DIGEST, run_id=RUN, now=NOW)
        == "the approval is for run of an earlier release, this is run-1"
    )


HOUR = timedelta(hours=1)


def carried_out(approved: str, **changes: Any) -> Approval:
    """An approval under which everything was carried out, long ago and in another run."""
    given = {"at": NOW - 9 * HOUR, "expires_at": NOW - 8 * HOUR, "used_at": NOW - 9 * HOUR, "spent_at": NOW - 9 * HOUR}
    return granted(approved).model_copy(update={**given, **changes})


@pytest.mark.parametrize(
    ("changes", "case_open", "why"),
    [
        ({}, True, None),
        ({"spent_at": None}, True, None),
        ({"spent_at": None, "used_at": None}, True, "it was not contained under one"),
        ({"granted": False}, True, "it was not contained under one"),
        ({}, False, "the case is closed"),
        ({"void": "the target was released"}, True, "counts no more: the target was released"),
        ({"digest": "e" * 64}, True, "the plan changed after approval"),
    ],
)
def test_the_way_back_to_an_approved_containment_rests_on_its_approval(
    changes: dict[str, Any], case_open: bool, why: str | None
) -> None:
    plan = planned(everything()).model_copy(update={"approval": ("policy asks",)})
    approval = carried_out(plan.digest, **changes)
    said = why_not_restored(plan, remaining=plan, approval=approval, case_open=case_open)
    assert said is None if why is None else said is not None and why in said


def test_without_an_approval_nothing_that_needs_one_is_restored() -> None:
    plan = planned(everything())
    asks = plan.model_copy(update={"approval": ("policy asks",)})
    assert why_not_restored(plan, remaining=plan, approval=None, case_open=True) is None
    assert why_not_restored(asks, remaining=asks, approval=None, case_open=True)
    # containment needed none, and by now it would
    assert why_not_restored(plan, remaining=asks, approval=None, case_open=True)


def test_a_step_or_a_reason_that_nobody_saw_needs_a_new_approval() -> None:
    small = planned(everything(interfaces=(eni(),))).model_copy(update={"approval": ("policy asks",)})
    other = planned(everything(interfaces=(eni(), eni(2)))).model_copy(update={"approval": ("policy asks",)})
    said = why_not_restored(small, remaining=other, approval=carried_out(small.digest), case_open=True)
    assert said is not None and "steps that nobody has approved" in said and "eni-2" in said
    shared = small.model_copy(update={"approval": ("policy asks", "all sessions of role app would be revoked")})
    said = why_not_restored(small, remaining=shared, approval=carried_out(small.digest), case_open=True)
    assert said is not None and "for a new reason: all sessions of role app" in said
