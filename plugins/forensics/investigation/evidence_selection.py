"""Which evidence of a case can be examined, and whether more of it is on its way. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.models.evidence import AnyEvidence, EvidenceKind, Outcome
from forensics.models.plan import ResponsePlan


def examinable(evidence: Sequence[AnyEvidence], kind: EvidenceKind) -> list[str]:
    """Ids of the items of a kind that the tools can examine.

    Memory of which only single processes were captured has no stored image, so there is nothing to examine.
    """
    usable = {Outcome.ACQUIRED} if kind is EvidenceKind.DISK else {Outcome.ACQUIRED, Outcome.PARTIAL}
    return [
        e.evidence_id
        for e in evidence
        if e.kind is kind and e.outcome in usable and (e.uri or kind is not EvidenceKind.MEMORY)
    ]


def still_acquiring(
    plan: ResponsePlan | None, evidence: Sequence[AnyEvidence], kind: EvidenceKind, *, working: bool = False
) -> bool:
    """Whether the plan acquires memory or disks and not every item has its outcome yet.

    :param working: a task that acquires this kind has not ended; what an earlier try recorded then says nothing
    """
    if plan is None:
        return False
    go = plan.memory.go if kind is EvidenceKind.MEMORY else plan.disk.go
    items = [e for e in evidence if e.kind is kind]
    return go and (working or not items or any(e.outcome is Outcome.PENDING for e in items))
