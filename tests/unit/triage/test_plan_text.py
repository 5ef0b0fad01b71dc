"""A plan in words."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.models.plan import Action, ApprovalRequirement, Order
from forensics.triage.plan_text import decision_text, left_to_people, plan_facts, plan_lines
from tests.unit.builders import decision, plan


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "disk: yes (because)"),
        ({"wanted": False}, "disk: no (because)"),
        ({"possible": False}, "disk: wanted but not possible (because)"),
    ],
)
def test_a_decision_says_yes_or_no_and_why(changes: dict[str, Any], text: str) -> None:
    assert decision_text(decision(Action.DISK, **changes)) == text


def test_a_plan_has_its_order_approval_and_warnings() -> None:
    waiting = plan().model_copy(
        update={
            "approval": ApprovalRequirement(required=True, reasons=("a", "b")),
            "warnings": ("tag x asks to be left alone",),
            "order": Order.CONTAIN_FIRST,
        }
    )
    assert plan_lines(waiting) == [
        "memory: yes (because)",
        "disk: yes (because)",
        "isolate: yes (because)",
        "Order: contain first",
        "Isolation waits for approval: a; b",
        "tag x asks to be left alone",
    ]
    assert plan_lines(plan(isolate=False))[-1] == "isolate: no (because)"


def test_programs_get_it_as_facts() -> None:
    assert plan_facts(plan(memory=False)) == {
        "memory": False,
        "disk": True,
        "isolate": True,
        "playbook": "",
        "order": "acquire_first",
        "approval": False,
        "waiting": [],
    }


def test_people_clear_the_steps_that_have_ended() -> None:
    added = (Action.MEMORY, Action.DISK, Action.ISOLATE)
    lines = left_to_people(added, plan=plan(), run_id="run-1")
    assert lines == [
        "If memory.probe_target of run run-1 has already ended, clear it there together with its downstream tasks.",
        "If disk.snapshot_volumes of run run-1 has already ended, clear it there together with its downstream tasks.",
    ]
    waiting = plan().model_copy(update={"approval": ApprovalRequirement(required=True)})
    assert "containment.plan_containment" in left_to_people((Action.ISOLATE,), plan=waiting, run_id="run-1")[0]
    assert left_to_people((Action.ISOLATE,), plan=plan(), run_id="run-1") == []
