"""The picture of a containment: each change with what was before, what is now, and what a release does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forensics.models.case import CaseView
from forensics.models.containment import (
    ContainmentResult,
    ContainmentState,
    ContainmentStep,
    InterfaceRestorePoint,
    ReleaseResult,
    RestorePoint,
    Stage,
)
from forensics.models.evidence import Outcome
from forensics.report import render_html
from forensics.report.containment_picture import STAGE_WORDS, containment_picture
from tests.unit.builders import NOW, view
from tests.unit.containment.targets import everything, planned
from tests.unit.report.test_hostile import check


def contained(*, failing: str = "") -> CaseView:
    """A target with everything, contained but for one step."""
    facts = everything()
    plan = planned(facts)
    steps = tuple(ContainmentStep(name=s.id, target=s.target, done=s.id != failing, detail="") for s in plan.steps)
    interfaces = tuple(
        InterfaceRestorePoint(interface_id=i.id, group_ids=("sg-web", "sg-ops")) for i in facts.interfaces
    )
    restore = RestorePoint(
        restore_id="r", instance_id="i-0123456789abcdef0", interfaces=interfaces, facts=facts, taken_at=NOW
    )
    result = ContainmentResult(
        outcome=Outcome.DONE, state=ContainmentState.NEW_FLOWS_BLOCKED, contained_at=NOW, steps=steps
    )
    return view(containment_plan=plan, containment=result, restore_point=restore)


def test_every_stage_has_words() -> None:
    assert set(STAGE_WORDS) == set(Stage)


def test_each_change_of_the_plan_is_there_with_before_and_after() -> None:
    shown = contained()
    changes = containment_picture(shown)
    assert shown.containment_plan is not None
    assert [c.target for c in changes] == [s.target for s in shown.containment_plan.steps]
    assert {c.state for c in changes} == {"done"}
    groups = [c for c in changes if c.before == "sg-web, sg-ops"]
    assert groups and all("gets exactly these security groups" in c.now for c in groups)
    assert any("198.51.100.7" in c.before for c in changes if c.kind == "public address")
    assert all(c.after for c in changes)


@pytest.mark.parametrize("released", [False, True])
def test_what_failed_and_what_was_undone_is_said(released: bool) -> None:
    whole = contained()
    assert whole.containment_plan is not None
    failing = whole.containment_plan.steps[-1].id
    shown = contained(failing=failing)
    if released:
        done = ReleaseResult(outcome=Outcome.DONE, released_at=NOW + timedelta(hours=1))
        shown = shown.model_copy(update={"release": done})
    states = [c.state for c in containment_picture(shown)]
    assert "NOT done" in states
    assert ("undone by the release" in states) is released and ("done" in states) is not released


def test_without_a_plan_or_a_result_there_is_no_picture() -> None:
    assert containment_picture(view()) == []
    assert containment_picture(contained().model_copy(update={"containment": None})) == []


def test_the_page_and_the_stored_report_have_it() -> None:
    page = check(render_html(contained())).text
    assert "Before, now, after a release" in page and "sg-web, sg-ops" in page
    assert "Before, now, after a release" not in render_html(view())
