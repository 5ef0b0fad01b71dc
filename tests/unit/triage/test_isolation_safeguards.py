"""What prevents or delays an isolation, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.triage.assessment import ActionRequest, FindingAssessment
from forensics.triage.context import TriageContext
from forensics.triage.isolation_safeguards import IsolationSafeguards, isolation_safeguards
from forensics.triage.policy import PlaybookMatch, packaged
from tests.unit.builders import ACCOUNT, finding, target

YES, NO = ActionRequest(True, ("ordered by Ada",)), ActionRequest(False, ("severity LOW is below HIGH",))
PLAYBOOK = packaged().policy.playbooks["command-and-control"]
ANALYST = "c2: an analyst looks at it first"


def assessment(*approval: str, isolate: ActionRequest = YES, **changes: Any) -> FindingAssessment:
    """A finding that asks for an isolation."""
    match = PlaybookMatch("c2", PLAYBOOK, "playbook c2: finding type X")
    return FindingAssessment(finding(), match, memory=NO, disk=NO, isolate=isolate, approval=approval, **changes)


def safeguards(*assessments: FindingAssessment, **context: Any) -> IsolationSafeguards:
    return isolation_safeguards(assessments, target=target(), context=TriageContext(**context))


@pytest.mark.parametrize("context", [{}, {"own_account": ACCOUNT}, {"protected": ("dc",)}, {"doubts": ("unsigned",)}])
def test_nothing_stands_against_what_nobody_asks_for(context: dict[str, Any]) -> None:
    assert safeguards(assessment(isolate=NO), **context) == IsolationSafeguards()


def test_a_confirmed_finding_isolates_without_further_ado() -> None:
    assert safeguards(assessment()) == IsolationSafeguards()


def test_the_forensic_account_comes_before_the_list() -> None:
    found = safeguards(assessment(asked=True), own_account=ACCOUNT, protected=("dc",))
    assert found.blocked == found.warnings
    assert found.blocked == ("the target is in the forensic account: the product never isolates its own resources",)


def test_the_list_beats_also_a_persons_order() -> None:
    found = safeguards(assessment(asked=True), protected=("dc (instance i-1): domain controller",))
    assert found.blocked == ("the never-isolate list names the target: dc (instance i-1): domain controller",)
    assert found.approval == ()


def test_an_entry_that_the_account_can_make_fit_is_a_question() -> None:
    asked = "the never-isolate list asks to spare the target: dc (tag forensics:never-isolate): domain controller"
    spared = ("dc (tag forensics:never-isolate): domain controller",)
    assert safeguards(assessment(), spared=spared) == IsolationSafeguards(approval=(asked,))
    assert safeguards(assessment(asked=True), spared=spared).approval == (asked,)
    assert safeguards(assessment(), spared=spared, protected=("dc (account 1): x",)).blocked
    assert safeguards(assessment(doubt="not found"), spared=spared).blocked == ("not found",)
    assert safeguards(assessment(isolate=NO), spared=spared) == IsolationSafeguards()


def test_findings_that_nobody_confirmed_isolate_nothing() -> None:
    found = safeguards(assessment(doubt="not found"), assessment(doubt="not found"))
    assert (found.blocked, found.warnings) == (("not found",), ("not isolated: not found",))
    assert safeguards(assessment(doubt="not found"), assessment()) == IsolationSafeguards()


def test_with_a_doubt_only_a_persons_order_isolates_after_approval() -> None:
    assert safeguards(assessment(), doubts=("unsigned",)).blocked == ("unsigned",)
    assert safeguards(assessment(asked=True), doubts=("unsigned",)) == IsolationSafeguards(approval=("unsigned",))


def test_an_analyst_approves_unless_one_finding_needs_no_approval() -> None:
    assert safeguards(assessment(ANALYST)).approval == (ANALYST,)
    assert safeguards(assessment(ANALYST), assessment()).approval == ()


def test_an_order_against_the_playbook_needs_a_second_person() -> None:
    against = "ordered by Ada, against the playbook: it never isolates"
    assert safeguards(assessment(against, asked=True)).approval == (against,)
    assert safeguards(assessment(against, asked=True), assessment(asked=True)).approval == ()
    assert safeguards(assessment(against, asked=True), assessment(ANALYST)).approval == (against,)
