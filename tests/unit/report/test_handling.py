"""The handling checklist says done only of what the ledger shows, and names what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from forensics.custody.chain import GENESIS, next_event
from forensics.models.case import CaseView, Milestone
from forensics.models.custody import CustodyAction, CustodyEvent, CustodyFacts
from forensics.models.evidence import Digest, EvidenceKind, Outcome
from forensics.report.handling import Handled, HandlingPoint, checklist
from tests.unit.builders import CASE_ID, INSTANCE, NOW, case, evidence, plan, target, view

FACTS = CustodyFacts(identity={"role": "x"}, time_source="the worker's clock", authority="finding abc")
MEMORY, DISK = f"memory-{INSTANCE}", "disk-vol-1"
ALL = (
    (CustodyAction.CASE_OPENED, None), (CustodyAction.TARGET_DESCRIBED, None), (CustodyAction.PLAN_DECIDED, None),
    (CustodyAction.HOST_TOUCHED, MEMORY), (CustodyAction.EVIDENCE_ACQUIRED, MEMORY), (CustodyAction.EVIDENCE_LOCKED, MEMORY),
    (CustodyAction.EVIDENCE_ACQUIRED, DISK), (CustodyAction.EVIDENCE_LOCKED, DISK), (CustodyAction.EVIDENCE_COPIED, DISK),
    (CustodyAction.EVIDENCE_VERIFIED, DISK), (CustodyAction.RETENTION_SET, None), (CustodyAction.CASE_CLOSED, None),
)  # fmt: skip
TWICE = tuple(Digest(value="a" * 64, subject="all bytes", source=source) for source in ("target", "control-plane"))


def ledger(*steps: tuple[CustodyAction, str | None], facts: CustodyFacts | None = FACTS) -> tuple[CustodyEvent, ...]:
    """A whole chain of these events."""
    events: list[CustodyEvent] = []
    for action, item in steps:
        detail = {"document_sha256": "b" * 64} if action is CustodyAction.HOST_TOUCHED else {}
        previous = events[-1] if events else None
        events.append(
            next_event(
                case_id=CASE_ID, seq=len(events) + 1, previous=previous.digest if previous else GENESIS, action=action, actor="role/x",
                at=NOW, evidence_id=item, detail=detail, facts=facts,
            )
        )  # fmt: skip
    return tuple(events)


def complete(**changes: Any) -> CaseView:
    """A case that was handled as it should be."""
    events = changes.pop("custody", ledger(*ALL))
    values: dict[str, Any] = {
        "case": case(), "plan": plan(), "target": target(), "custody": events, "custody_head": events[-1].digest,
        "custody_signature": {"head": events[-1].digest},
        "evidence": (evidence(EvidenceKind.MEMORY, digests=TWICE), evidence(EvidenceKind.DISK, digests=TWICE)),
        "milestones": {Milestone.FIRST_VOLATILE_BYTE.value: NOW}, **changes,
    }  # fmt: skip
    return view(**values)


def point(case_view: CaseView, words: str) -> HandlingPoint:
    (found,) = (p for p in checklist(case_view) if words in p.asked)
    return found


def test_a_case_that_was_handled_well_misses_nothing() -> None:
    points = checklist(complete())
    assert [p for p in points if p.state is Handled.MISSING] == []
    assert all(p.events for p in points if p.state is Handled.DONE)
    assert all(p.missing for p in points if p.state is Handled.NOT_APPLICABLE)


@pytest.mark.parametrize(
    ("without", "words", "why"),
    [
        (CustodyAction.TARGET_DESCRIBED, "source is described", "not described"),
        (CustodyAction.CASE_OPENED, "authority to act", "for which finding"),
        (CustodyAction.PLAN_DECIDED, "was decided", "no decision"),
        (CustodyAction.HOST_TOUCHED, "run on the live source", MEMORY),
        (CustodyAction.EVIDENCE_LOCKED, "protected against change", DISK),
        (CustodyAction.EVIDENCE_COPIED, "examined from a copy", DISK),
        (CustodyAction.RETENTION_SET, "Retention", "no retention"),
    ],
)
def test_each_event_that_is_not_there_is_missed_by_its_point(without: CustodyAction, words: str, why: str) -> None:
    found = point(complete(custody=ledger(*(step for step in ALL if step[0] is not without))), words)
    assert found.state is Handled.MISSING and why in found.missing


def test_digests_that_nobody_compared_and_ones_that_are_not_there() -> None:
    once = complete(evidence=(evidence(EvidenceKind.MEMORY, digests=TWICE[:1]), evidence(EvidenceKind.DISK)))
    assert MEMORY in point(once, "computed again").missing
    assert point(once, "from the time of its acquisition").missing == f"no digest of {DISK}"


def test_a_broken_or_unsigned_ledger_is_missed() -> None:
    assert "not signed" in point(complete(custody_signature={}), "unbroken").missing
    events = ledger(*ALL)
    torn = complete(custody=(*events[:3], *events[4:]))
    assert point(torn, "unbroken").state is Handled.MISSING


def test_events_without_a_name_or_a_clock_are_named() -> None:
    found = point(complete(custody=ledger(*ALL, facts=None)), "who acted")
    assert found.state is Handled.MISSING and "and 2 more" in found.missing


def test_isolation_before_memory_is_said() -> None:
    moments = {Milestone.FIRST_VOLATILE_BYTE.value: NOW, Milestone.CONTAINED.value: NOW.replace(year=2020)}
    assert point(complete(milestones=moments), "before isolation").state is Handled.MISSING


def test_a_case_with_nothing_claims_nothing() -> None:
    points = checklist(view(case=case()))
    assert not [p for p in points if p.state is Handled.DONE and not p.events]
    assert {p.state for p in points} == {Handled.MISSING, Handled.NOT_APPLICABLE}


def test_an_error_without_a_reason_is_missed() -> None:
    bad = complete(evidence=(evidence(EvidenceKind.MEMORY, Outcome.FAILED), evidence(EvidenceKind.DISK, digests=TWICE)))
    assert MEMORY in point(bad, "Errors are recorded").missing
