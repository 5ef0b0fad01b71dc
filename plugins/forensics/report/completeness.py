"""Evidence completeness of a case: the weighted mean of what the plan asks for, with every shortfall named."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.case.gaps import tool_gaps
from forensics.investigation.answers import rules
from forensics.models.case import CaseView
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.plan import Decision
from forensics.naming import evidence_id
from forensics.printable import count

EXAMINED = "examined"
NOTHING = "nothing is recorded of it"


@dataclass(frozen=True)
class CompletenessPart:
    """One thing that the plan asks for: its weight, what it is worth (0 to 1), and why it is not whole."""

    what: str
    weight: float
    worth: float
    state: str
    why: str = ""


@dataclass(frozen=True)
class Completeness:
    """``percent`` of 100; None when no plan says what is wanted."""

    percent: int | None
    parts: tuple[CompletenessPart, ...]

    @property
    def short(self) -> tuple[CompletenessPart, ...]:
        """The parts that are not whole."""
        return tuple(part for part in self.parts if part.worth < 1)


def completeness(view: CaseView) -> Completeness:
    """Weigh the case's evidence. Not wanted is not missing; wanted and impossible is."""
    if view.plan is None:
        return Completeness(None, ())
    parts = _kind(view, EvidenceKind.CONTROL_PLANE, [e.evidence_id for e in view.evidence if _facts(e.kind)])
    for kind, decision in ((EvidenceKind.MEMORY, view.plan.memory), (EvidenceKind.DISK, view.plan.disk)):
        wanted = _wanted(view, kind, decision)
        if decision.wanted:
            parts += _kind(view, kind, wanted) + _examined(view, kind, wanted)
    whole = sum(part.weight for part in parts)
    got = sum(part.weight * part.worth for part in parts)
    # Rounded down: 100 % is said only of what is whole.
    return Completeness(int(100 * got / whole + 1e-9) if whole else None, tuple(parts))


def _facts(kind: EvidenceKind) -> bool:
    return kind is EvidenceKind.CONTROL_PLANE


def _wanted(view: CaseView, kind: EvidenceKind, decision: Decision) -> list[str]:
    """Ids that ought to be there: what is recorded, and of disks every volume of the target."""
    ids = [e.evidence_id for e in view.evidence if e.kind is kind]
    if kind is EvidenceKind.DISK and view.target and decision.wanted:
        ids += [evidence_id(kind, v.id) for v in view.target.volumes]
    if kind is EvidenceKind.DISK and view.artifact and decision.wanted:
        ids += [evidence_id(kind, d.snapshot_id) for d in view.artifact.disks]
    return list(dict.fromkeys(ids))


def _kind(view: CaseView, kind: EvidenceKind, ids: list[str]) -> list[CompletenessPart]:
    weights = rules().completeness
    share = weights.weights[kind.value] / max(1, len(ids))
    if not ids:
        return [CompletenessPart(kind.value, share, 0.0, "missing", NOTHING)]
    known = {e.evidence_id: e for e in view.evidence}
    parts = []
    for item in ids:
        found = known.get(item)
        if found is None:
            parts.append(CompletenessPart(item, share, 0.0, "missing", NOTHING))
        else:
            worth = weights.states[found.outcome.value]
            why = (found.reason or "no reason is recorded") if worth < 1 else ""
            parts.append(CompletenessPart(item, share, worth, found.outcome.value, why))
    return parts


def _examined(view: CaseView, kind: EvidenceKind, ids: list[str]) -> list[CompletenessPart]:
    weights = rules().completeness
    share = weights.weights[f"{kind.value} {EXAMINED}"] / max(1, len(ids))
    parts = []
    for item in ids or [kind.value]:
        outcomes = [i for i in view.investigations if i.evidence_id == item and not i.follows]
        best = max(outcomes, key=lambda i: weights.states.get(i.outcome, 0.0), default=None)
        state = best.outcome if best else "missing"
        worth = weights.states.get(state, 0.0)
        missed = sum(len(tool_gaps(r)) for r in view.results if r.evidence_id == item)
        why = (best.reason or count(missed, "gap")) if best and worth < 1 else "" if best else "no tool examined it"
        parts.append(
            CompletenessPart(f"{item}, {EXAMINED}", share, worth, Outcome.FAILED.value if not best else state, why)
        )
    return parts
