"""Completeness: the weighted share of what the plan asks for that is there and examined."""

from __future__ import annotations

from forensics.models.evidence import EvidenceKind, Outcome
from forensics.report.completeness import completeness
from tests.unit.builders import INSTANCE, evidence, investigation, plan, view

MEMORY, DISK = f"memory-{INSTANCE}", "disk-vol-1"


def test_without_a_plan_nothing_can_be_weighed() -> None:
    found = completeness(view())
    assert found.percent is None and found.parts == ()


def test_everything_acquired_and_examined_is_whole() -> None:
    items = tuple(evidence(kind) for kind in (EvidenceKind.CONTROL_PLANE, EvidenceKind.MEMORY, EvidenceKind.DISK))
    whole = completeness(view(plan=plan(), evidence=items, investigations=(investigation(MEMORY), investigation(DISK))))
    assert whole.percent == 100 and whole.short == ()


def test_what_is_missing_is_named_with_its_reason() -> None:
    items = (evidence(EvidenceKind.MEMORY), evidence(EvidenceKind.DISK, Outcome.FAILED, reason="the key is disabled"))
    partial = investigation(MEMORY, Outcome.PARTIAL)
    found = completeness(view(plan=plan(), evidence=items, investigations=(partial,)))
    short = {part.what: part.why for part in found.short}
    assert short["control-plane"] == "nothing is recorded of it"
    assert short[DISK] == "the key is disabled"
    assert short[f"{DISK}, examined"] == "no tool examined it"
    assert short[f"{MEMORY}, examined"] == "0 gaps"
    assert found.percent is not None and 0 < found.percent < 100


def test_what_was_not_wanted_has_no_weight() -> None:
    found = completeness(view(plan=plan(disk=False), evidence=(evidence(EvidenceKind.CONTROL_PLANE),)))
    assert not any("disk" in part.what for part in found.parts)
