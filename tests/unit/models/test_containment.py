"""Containment's records: the stored form of earlier releases is read and written."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forensics.models.case import CaseView
from forensics.models.containment import (
    STAGES,
    ApiCall,
    ContainmentPlan,
    ContainmentResult,
    ContainmentState,
    ManualStep,
    Permission,
    PlanPreflight,
    PreflightAnswer,
    PreflightStep,
    ReleaseResult,
    Stage,
)
from forensics.models.evidence import Outcome
from tests.unit.builders import CASE_ID, INSTANCE, NOW, view

STEP = {"id": "eks.cordon", "what": "cordon", "command": None, "reason": "no pods"}


def test_a_plan_of_an_earlier_release_is_read_and_written_as_it_was() -> None:
    stored = {
        "case_id": CASE_ID, "instance_id": INSTANCE, "order": "contain_first", "steps": [], "residuals": ["DNS"],
        "ladder": ["stop it"], "by_hand": [STEP], "approval": [], "token": "t", "digest": "d" * 64,
        "made_at": "2026-11-24T08:00:00.000000Z",
    }  # fmt: skip
    plan = ContainmentPlan.model_validate(stored)
    assert plan.hardening_options == ("stop it",)
    assert plan.manual_steps == (ManualStep.model_validate(STEP),)
    assert plan.model_dump(mode="json", by_alias=True) == stored


def test_a_result_of_an_earlier_release_is_read_and_written_as_it_was() -> None:
    stored = {"outcome": "DONE", "state": "NEW_FLOWS_BLOCKED", "ladder": ["stop it"], "by_hand": [STEP]}
    result = ContainmentResult.model_validate(stored)
    assert result.hardening_options == ("stop it",) and result.manual_steps[0].id == "eks.cordon"
    assert stored.items() <= result.model_dump(mode="json", by_alias=True).items()


def test_the_preflight_is_exported_under_the_name_that_it_had() -> None:
    found = PlanPreflight(digest="d", steps=(), at=NOW)
    exported = view(plan_preflight=found).model_dump(mode="json", by_alias=True)
    assert exported["rehearsal"]["digest"] == "d" and "plan_preflight" not in exported
    assert CaseView.model_validate(exported).plan_preflight == found


def test_a_preflight_is_sorted_by_answer() -> None:
    steps = tuple(PreflightStep(name=a.name, answer=a, detail="") for a in PreflightAnswer)
    found = PlanPreflight(digest="d", steps=steps, at=NOW)
    assert [s.name for s in found.of(PreflightAnswer.REFUSED)] == ["REFUSED"]


def test_addresses_are_off_before_an_interface_is_opened_and_credentials_end_last() -> None:
    assert STAGES.index(Stage.ADDRESSES) < STAGES.index(Stage.OPEN) < STAGES.index(Stage.CLOSE)
    assert STAGES[0] is Stage.CREDENTIALS_FIRST and STAGES[-1] is Stage.CREDENTIALS


@pytest.mark.parametrize(("params", "groups"), [({"Groups": ["sg-1"]}, ("sg-1",)), ({"GroupId": "sg-1"}, ())])
def test_the_groups_that_a_call_puts_an_interface_into(params: dict[str, object], groups: tuple[str, ...]) -> None:
    call = ApiCall(service="ec2", operation="modify", params=params)
    assert call.group_ids == groups and str(call) == "ec2.modify"


def test_a_permission_says_what_on_what() -> None:
    assert str(Permission("iam:PassRole", "arn:role")) == "iam:PassRole on arn:role"


@pytest.mark.parametrize(
    ("closed", "undone"),
    [(None, True), (timedelta(minutes=-5), True), (timedelta(0), True), (timedelta(minutes=5), False)],
)
def test_a_release_says_nothing_of_a_target_that_was_contained_again(closed: timedelta | None, undone: bool) -> None:
    at = NOW + closed if closed is not None else None
    contained = ContainmentResult(outcome=Outcome.DONE, state=ContainmentState.NEW_FLOWS_BLOCKED, contained_at=at)
    assert ReleaseResult(outcome=Outcome.DONE, released_at=NOW).undoes(contained) is undone
    assert not ReleaseResult(outcome=Outcome.PARTIAL).undoes(contained)
