"""How the evidence of a case was handled: a checklist filled from the ledger, with what is missing.

The points are those that ISO/IEC 27037:2012 (identification, acquisition, preservation; auditable, justifiable, repeatable) and
SWGDE's *Best Practices for Digital Evidence Collection* ask for, in this product's words. It is a help for an examiner's own
statement and certifies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from forensics.models.case import CaseView, Milestone
from forensics.models.custody import CustodyAction, CustodyEvent
from forensics.models.evidence import AnyEvidence, EvidenceKind, Outcome
from forensics.report import headline
from forensics.report.sections import BEING_READ, undigested

_HELD = frozenset({Outcome.ACQUIRED, Outcome.PARTIAL})
_LIVE = frozenset({EvidenceKind.MEMORY, EvidenceKind.LIVE_RESPONSE})
_STORED = frozenset(EvidenceKind)


class Handled(StrEnum):
    """The state of one point."""

    DONE = "done"
    MISSING = "missing"
    NOT_APPLICABLE = "does not apply"


@dataclass(frozen=True)
class HandlingPoint:
    """One point: what is asked for, its state, the ledger's events that show it, and what is missing."""

    process: str
    asked: str
    state: Handled
    events: tuple[int, ...] = ()
    missing: str = ""


def checklist(view: CaseView) -> list[HandlingPoint]:
    """All points, in the order of the work."""
    return [HandlingPoint(process, asked, *found(view)) for process, asked, found in _POINTS]


Found = tuple[Handled, tuple[int, ...], str]


def _of(view: CaseView, *actions: CustodyAction) -> list[CustodyEvent]:
    return [event for event in view.custody if event.action in actions]


def _shown(events: Iterable[CustodyEvent], missing: str = "", otherwise: str = "") -> Found:
    """Done where there are events and nothing is missing."""
    numbers = tuple(event.seq for event in events)
    if missing:
        return Handled.MISSING, numbers, missing
    return (
        (Handled.DONE, numbers, "") if numbers else (Handled.MISSING, (), otherwise or "the ledger has no such event")
    )


def _none(why: str) -> Found:
    return Handled.NOT_APPLICABLE, (), why


def _held(view: CaseView) -> list[AnyEvidence]:
    return [item for item in view.evidence if item.outcome in _HELD and item.kind in _STORED]


def _without(items: Iterable[AnyEvidence], events: list[CustodyEvent]) -> str:
    known = {event.evidence_id for event in events}
    lacking = [item.evidence_id for item in items if item.evidence_id not in known]
    return f"no event for {', '.join(lacking)}" if lacking else ""


# ---------------------------------------------------------------------- identification
def _source(view: CaseView) -> Found:
    return _shown(_of(view, CustodyAction.TARGET_DESCRIBED), otherwise="the source was not described")


def _authority(view: CaseView) -> Found:
    events = [e for e in _of(view, CustodyAction.CASE_OPENED) if e.facts and e.facts.authority]
    return _shown(events, otherwise="the ledger does not say for which finding or whose order the case was opened")


def _decision(view: CaseView) -> Found:
    return _shown(
        _of(view, CustodyAction.PLAN_DECIDED), otherwise="no decision on what to acquire, in which order, is recorded"
    )


# ---------------------------------------------------------------------- acquisition
def _volatile_first(view: CaseView) -> Found:
    if view.artifact or not any(item.kind in _LIVE for item in _held(view)):
        return _none("nothing volatile was acquired")
    began, cut = (view.milestones.get(name.value) for name in (Milestone.FIRST_VOLATILE_BYTE, Milestone.CONTAINED))
    if began is None:
        return Handled.MISSING, (), "when the first volatile byte was read is not recorded"
    if cut is not None and cut < began:
        return (
            Handled.MISSING,
            (),
            "the instance was isolated before its memory was read (order of the plan, or memory came late)",
        )
    return Handled.DONE, tuple(e.seq for e in _of(view, CustodyAction.HOST_TOUCHED)), ""


def _touched(view: CaseView) -> Found:
    live = [item for item in _held(view) if item.kind in _LIVE]
    if not live:
        return _none("nothing was run on the live source")
    events = [e for e in _of(view, CustodyAction.HOST_TOUCHED) if e.detail.get("document_sha256")]
    return _shown(events, _without(live, events))


def _digests(view: CaseView) -> Found:
    items = _held(view)
    if not items:
        return _none("nothing was acquired")
    lacking = [i.evidence_id for i in items if not i.digests]
    events = _of(view, CustodyAction.EVIDENCE_ACQUIRED, CustodyAction.EVIDENCE_VERIFIED, CustodyAction.OBJECT_STORED)
    return _shown(events, f"no digest of {', '.join(lacking)}{_yet(view)}" if lacking else "")


def _compared(view: CaseView) -> Found:
    items = [i for i in _held(view) if i.kind is not EvidenceKind.CONTROL_PLANE]
    if not items:
        return _none("nothing was acquired")
    once = [i.evidence_id for i in items if len({d.source for d in i.digests}) < 2]
    events = _of(view, CustodyAction.EVIDENCE_VERIFIED, CustodyAction.EVIDENCE_ACQUIRED)
    return _shown(
        events, f"computed once, by one side, and not compared: {', '.join(once)}{_yet(view)}" if once else ""
    )


def _yet(view: CaseView) -> str:
    waiting = undigested(view)
    return f" ({BEING_READ}: {', '.join(waiting)})" if waiting else ""


def _errors(view: CaseView) -> Found:
    bad = [i for i in view.evidence if i.outcome in {Outcome.PARTIAL, Outcome.FAILED}]
    if not bad:
        return _none("every acquisition ended without an error")
    silent = [i.evidence_id for i in bad if not i.reason]
    events = [e for e in view.custody if e.evidence_id in {i.evidence_id for i in bad}]
    return _shown(events, f"no reason is recorded for {', '.join(silent)}" if silent else "")


# ---------------------------------------------------------------------- preservation
def _locked(view: CaseView) -> Found:
    items = _held(view)
    events = _of(view, CustodyAction.EVIDENCE_LOCKED)
    return (
        _shown(events, _without([i for i in items if i.kind is not EvidenceKind.CONTROL_PLANE], events))
        if items
        else _none("nothing was acquired")
    )


def _copies(view: CaseView) -> Found:
    disks = [i for i in _held(view) if i.kind is EvidenceKind.DISK]
    if not disks or view.artifact:
        return _none("no disk of an instance was acquired")
    events = _of(view, CustodyAction.EVIDENCE_COPIED)
    return _shown(events, _without(disks, events))


def _retained(view: CaseView) -> Found:
    events = _of(view, CustodyAction.RETENTION_SET)
    if not events and not _of(view, CustodyAction.CASE_CLOSED):
        return _none("evidence is held while the case is open; its retention counts from the closing")
    return _shown(events, otherwise="no retention is recorded")


# ---------------------------------------------------------------------- records
def _chain(view: CaseView) -> Found:
    check = headline.chain_check(view)
    if check.intact is not True:
        return Handled.MISSING, (), check.sentence
    if not view.custody_signature:
        return Handled.MISSING, (), "the ledger's head is not signed"
    return Handled.DONE, (view.custody[-1].seq,) if view.custody else (), ""


def _who_and_when(view: CaseView) -> Found:
    bare = [e.seq for e in view.custody if not (e.facts and e.facts.identity and e.facts.time_source)]
    shown = ", ".join(map(str, bare[:10])) + (f" and {len(bare) - 10} more" if len(bare) > 10 else "")
    return _shown(view.custody, f"events without who acted or whose clock it was: {shown}" if bare else "")


def _second_person(view: CaseView) -> Found:
    asked = view.approval is not None or (view.plan is not None and view.plan.isolate.waits)
    if not asked:
        return _none("the policy asked nobody before isolation")
    return _shown(
        _of(view, CustodyAction.CONTAINMENT_APPROVED, CustodyAction.CONTAINMENT_REFUSED),
        otherwise="the question was not answered",
    )


def _handed_over(view: CaseView) -> Found:
    events = _of(view, CustodyAction.CASE_EXPORTED)
    return _shown(events) if events else _none("nothing was handed over yet")


_POINTS: tuple[tuple[str, str, Callable[[CaseView], Found]], ...] = (
    ("identification", "The source is described before anything is done to it", _source),
    ("identification", "The authority to act (a finding, or a person's order) is recorded", _authority),
    ("identification", "What to acquire, and in which order, was decided with reasons", _decision),
    ("acquisition", "The volatile came before isolation", _volatile_first),
    ("acquisition", "Everything that was run on the live source is recorded with the digest of its document", _touched),
    ("acquisition", "Each item has a digest from the time of its acquisition", _digests),
    ("acquisition", "Each digest was computed again by another side and compared", _compared),
    ("acquisition", "Errors are recorded with their reason", _errors),
    ("preservation", "Each item is protected against change", _locked),
    ("preservation", "Disks are examined from a copy, the original snapshot stays", _copies),
    ("preservation", "Retention is set", _retained),
    ("records", "The ledger is unbroken and its head is signed", _chain),
    ("records", "Each event says who acted and whose clock it was", _who_and_when),
    ("records", "A second person decided where the policy asks for one", _second_person),
    ("records", "Each hand-over is recorded", _handed_over),
)
