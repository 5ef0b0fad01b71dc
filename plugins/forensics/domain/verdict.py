"""Is the case complete? The honest end of a run."""

from __future__ import annotations

from forensics.models.case import CaseStatus, CaseView
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.plan import Decision


def gaps(view: CaseView) -> list[str]:
    """Everything the plan wanted that is not there, in plain words; empty when the case is complete."""
    found = [f"{f.step}: {f.cause}" for f in view.failures]
    if view.plan is None:
        return [*found, "triage did not end with a response plan"]
    failed_steps = {f.step for f in view.failures}
    found += _evidence_gaps(view, view.plan.memory, EvidenceKind.MEMORY)
    found += _evidence_gaps(view, view.plan.disk, EvidenceKind.DISK)
    if view.plan.isolate.wanted:
        if view.containment is None:
            found.append("isolation was wanted but has no result")
        elif view.containment.outcome is not Outcome.DONE and not any("isolate" in s for s in failed_steps):
            found.append(f"isolation ended {view.containment.outcome}: {view.containment.reason}")
    examined = {i.evidence_id for i in view.investigations if i.outcome in {Outcome.DONE, Outcome.PARTIAL}}
    found += [
        f"{e.evidence_id} was acquired but no investigation of it succeeded"
        for e in view.evidence
        if e.kind in {EvidenceKind.MEMORY, EvidenceKind.DISK}
        and e.outcome is Outcome.ACQUIRED
        and e.evidence_id not in examined
    ]
    return list(dict.fromkeys(found))


def _evidence_gaps(view: CaseView, decision: Decision, kind: EvidenceKind) -> list[str]:
    if not decision.wanted:
        return []
    items = [e for e in view.evidence if e.kind is kind]
    if not items:
        return [f"{kind.value} was wanted but nothing was recorded"]
    return [
        f"{e.evidence_id} ended {e.outcome.value}: {e.reason or 'no reason recorded'}"
        for e in items
        if e.outcome is not Outcome.ACQUIRED
    ]


def status(view: CaseView) -> CaseStatus:
    """The status the case closes with."""
    return CaseStatus.CLOSED_WITH_GAPS if gaps(view) else CaseStatus.CLOSED
