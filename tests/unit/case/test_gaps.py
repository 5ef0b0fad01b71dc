"""The honest end: what is missing is named, and nothing missing is called complete."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from forensics.case.gaps import gaps
from forensics.models.case import CaseView, StepFailure
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.finding import CustomAction
from forensics.models.target import Volume
from tests.unit.builders import INSTANCE, NOW, evidence, finding, investigation, plan, target, view

MEMORY, DISK = f"memory-{INSTANCE}", "disk-vol-1"


def contained(outcome: Outcome = Outcome.DONE) -> ContainmentResult:
    """A containment that ended so."""
    done = outcome is Outcome.DONE
    return ContainmentResult(
        outcome=outcome,
        state=ContainmentState.NEW_FLOWS_BLOCKED if done else ContainmentState.FAILED,
        reason=None if done else "interface eni-1 still has groups sg-app",
    )


def failure(step: str, cause: str = "AWS said no") -> StepFailure:
    """A step's final failure."""
    return StepFailure(step=step, cause=cause, next_action="mend it", at=NOW)


def complete(**changes: Any) -> CaseView:
    """A case in which everything that was wanted is there."""
    values: dict[str, Any] = {
        "plan": plan(),
        "evidence": (evidence(EvidenceKind.MEMORY), evidence(EvidenceKind.DISK)),
        "containment": contained(),
        "investigations": (investigation(MEMORY), investigation(DISK)),
    }
    return view(**{**values, **changes})


def test_a_complete_case_is_closed() -> None:
    assert gaps(complete()) == []
    assert gaps(complete()) == []


def test_no_plan_is_a_gap() -> None:
    assert gaps(view()) == ["triage did not end with a response plan"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"evidence": (evidence(EvidenceKind.DISK),)}, "memory was wanted but nothing was recorded"),
        ({"evidence": (evidence(EvidenceKind.MEMORY),)}, "disk was wanted but nothing was recorded"),
        ({"containment": None}, "isolation was wanted but has no result"),
        ({"containment": contained(Outcome.PARTIAL)}, "eni-1 still has groups"),
        ({"containment": contained(Outcome.FAILED)}, "isolation ended"),
        ({"containment": contained(Outcome.NOT_APPLICABLE)}, "isolation ended"),
        ({"investigations": (investigation(MEMORY),)}, f"{DISK} was acquired but no investigation"),
        (
            {"investigations": (investigation(MEMORY, Outcome.PENDING), investigation(DISK))},
            f"{MEMORY} was acquired",
        ),
        (
            {"investigations": (investigation(MEMORY, Outcome.FAILED), investigation(DISK))},
            f"{MEMORY} was acquired",
        ),
        ({"failures": (failure("report.write_report"),)}, "report.write_report: AWS said no"),
    ],
)
def test_each_thing_that_is_missing_is_named(changes: dict[str, Any], words: str) -> None:
    case = complete(**changes)
    assert any(words in gap for gap in gaps(case)), gaps(case)
    assert gaps(case)


@pytest.mark.parametrize(
    ("kind", "outcome"),
    list(product([EvidenceKind.MEMORY, EvidenceKind.DISK], [o for o in Outcome if o is not Outcome.ACQUIRED])),
)
def test_wanted_evidence_that_is_not_acquired_is_a_gap(kind: EvidenceKind, outcome: Outcome) -> None:
    other = EvidenceKind.DISK if kind is EvidenceKind.MEMORY else EvidenceKind.MEMORY
    case = complete(evidence=(evidence(other), evidence(kind, outcome, reason="the agent is gone")))
    assert any(outcome.value in gap and "the agent is gone" in gap for gap in gaps(case))


@pytest.mark.parametrize(("memory", "disk", "isolate"), list(product([True, False], repeat=3)))
def test_what_was_not_wanted_is_never_missed(memory: bool, disk: bool, isolate: bool) -> None:
    case = view(plan=plan(memory=memory, disk=disk, isolate=isolate))
    found = " ".join(gaps(case))
    assert ("memory" in found) is memory
    assert ("disk" in found) is disk
    assert ("isolation" in found) is isolate
    assert (not gaps(case)) is not (memory or disk or isolate)


def test_a_partial_investigation_counts_as_one() -> None:
    assert gaps(complete(investigations=(investigation(MEMORY, Outcome.PARTIAL), investigation(DISK)))) == []


def test_control_plane_facts_need_no_investigation() -> None:
    items = (*complete().evidence, evidence(EvidenceKind.CONTROL_PLANE))
    assert gaps(complete(evidence=items)) == []


def test_a_failed_isolation_is_said_once() -> None:
    case = complete(
        containment=contained(Outcome.PARTIAL),
        failures=(failure("containment.isolate_target", "interface eni-1 still has groups sg-app"),),
    )
    assert gaps(case) == ["containment.isolate_target: interface eni-1 still has groups sg-app"]


def test_every_failure_is_kept_and_none_twice() -> None:
    case = complete(failures=(failure("a"), failure("b"), failure("a")))
    assert gaps(case) == ["a: AWS said no", "b: AWS said no"]


def test_a_volume_without_a_record_is_a_gap() -> None:
    volumes = (Volume(id="vol-1", device="/dev/xvda"), Volume(id="vol-2", device="/dev/sdb"))
    case = complete(target=target(volumes=volumes))
    assert gaps(case) == ["volume vol-2 (/dev/sdb) was attached to the target but nothing was recorded of it"]
    assert gaps(complete(target=target())) == []


@pytest.mark.parametrize(
    ("order", "named"),
    [
        ({"action": CustomAction.ISOLATE}, True),
        ({"action": CustomAction.FULL}, True),
        ({"action": CustomAction.TRIAGE}, False),
        ({"requested": {"isolate": True}, "requester": "Ada"}, True),
        ({"requested": {"isolate": False}}, False),
        ({}, False),
    ],
)
def test_an_order_to_isolate_that_the_plan_does_not_carry_out_is_a_gap(order: dict[str, Any], named: bool) -> None:
    late = finding(**order)
    found = gaps(complete(plan=plan(isolate=False), findings=(finding(), late)))
    assert any("asked for isolation" in gap for gap in found) is named
    assert gaps(complete(findings=(late,))) == []
