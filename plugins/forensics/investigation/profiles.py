"""An activity that a person orders on the evidence of a case: which there are, and what stands in the way. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from forensics.document_registry import profiles
from forensics.investigation.evidence_selection import examinable
from forensics.models.case import Case
from forensics.models.evidence import AnyEvidence, EvidenceKind


def reads(activity: str, kind: EvidenceKind) -> bool:
    """Whether an activity examines a kind of evidence; without one, all kinds are examined."""
    return not activity or any(d.activity == activity and d.evidence is kind for d in profiles())


def why_not(activity: str, *, case: Case, evidence: Sequence[AnyEvidence], platform: str) -> str | None:
    """Why an activity cannot be run on a case now; None when it can."""
    known = {d.activity: d for d in profiles(platform)}
    document = known.get(activity)
    if document is None or document.evidence is None:
        return (
            f"the registry has no activity {activity[:80]} for platform {platform}; it has {', '.join(known) or 'none'}"
        )
    if not case.ended:
        return "the case is still being processed: its own investigation would share the forensic instance, and end it"
    if not examinable(evidence, document.evidence):
        return f"the case has no {document.evidence.value} evidence that tools can examine"
    return None
