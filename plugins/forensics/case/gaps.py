"""Is the case complete? The honest end of a run."""

from __future__ import annotations

from forensics.models.case import CaseView
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.finding import CustomAction
from forensics.models.plan import Action, Decision
from forensics.naming import evidence_id


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
    found += _unanswered(view)
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
    found = [
        f"{e.evidence_id} ended {e.outcome.value}: {e.reason or 'no reason recorded'}"
        for e in items
        if e.outcome is not Outcome.ACQUIRED
    ]
    if kind is EvidenceKind.DISK and view.target:
        known = {e.evidence_id for e in items}
        found += [
            f"volume {v.id} ({v.device}) was attached to the target but nothing was recorded of it"
            for v in view.target.volumes
            if evidence_id(kind, v.id) not in known
        ]
    return found


def _unanswered(view: CaseView) -> list[str]:
    """Orders of people that the plan does not carry out, for instance because they came after it was made."""
    if view.plan is None or view.plan.isolate.wanted:
        return []
    return [
        f"{f.requester or f.source.value} asked for isolation ({f.title[:80]}) but the plan does not isolate"
        for f in view.findings
        if f.action in {CustomAction.ISOLATE, CustomAction.FULL} or (f.requested or {}).get(Action.ISOLATE.value)
    ]
