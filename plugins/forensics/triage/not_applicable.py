"""What cannot be done to an artifact, recorded by name: nobody has to wonder whether it was forgotten."""

from __future__ import annotations

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.evidence import EvidenceKind, LiveResponseEvidence, MemoryEvidence, Outcome
from forensics.models.plan import ResponsePlan
from forensics.naming import evidence_id


def record_not_applicable(recorder: CaseRecorder, plan: ResponsePlan) -> None:
    """Memory, live response and isolation end NOT_APPLICABLE where the plan says that they do not apply. Safe to repeat."""
    subject = recorder.case.instance_id
    memory, live = evidence_id(EvidenceKind.MEMORY, subject), evidence_id(EvidenceKind.LIVE_RESPONSE, subject)
    if not plan.memory.applies:
        reason = "; ".join(plan.memory.reasons)
        for item in (
            MemoryEvidence(evidence_id=memory, outcome=Outcome.NOT_APPLICABLE),
            LiveResponseEvidence(evidence_id=live, outcome=Outcome.NOT_APPLICABLE),
        ):
            if recorder.evidence_item(item.evidence_id) is None:
                recorder.fail_evidence(item, reason=reason, outcome=Outcome.NOT_APPLICABLE)
    if not plan.isolate.applies:
        result = ContainmentResult(
            outcome=Outcome.NOT_APPLICABLE,
            state=ContainmentState.NOT_CONTAINED,
            reason="; ".join(plan.isolate.reasons),
        )
        recorder.put_once(case_keys.CONTAINMENT, result)
