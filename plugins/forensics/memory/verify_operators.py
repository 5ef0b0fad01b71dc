"""The step that verifies the landed memory image and makes it evidence."""

from __future__ import annotations

from airflow.sdk import Context

from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import MemoryCaptureError
from forensics.memory.capture_state import CaptureState, state_of
from forensics.memory.verification import MemoryVerification, reject
from forensics.models.evidence import EvidenceKind
from forensics.naming import evidence_id


class VerifyMemoryOperator(ForensicOperator):
    """Read what landed, hash it, validate it, and write it to the evidence store under lock.

    The target's own digests are claims: every part's, and the whole stream's where one command has seen all of it. The
    stored object's digest is computed here, from the bytes of the parts that agreed.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Make the landed image evidence."""
        evidence = recorder.memory()
        state = state_of(evidence)
        if evidence is None or not state.has_image:
            msg = f"no memory image has landed: the capture is {state.value}"
            raise MemoryCaptureError(msg, next_action="clear memory.capture_memory")
        if state is CaptureState.VERIFIED:
            item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
            return {"evidence_id": item, "already": True}
        verified = MemoryVerification(recorder, evidence).run()
        return {
            "evidence_id": verified.evidence_id,
            "outcome": verified.outcome.value,
            "sha256": verified.digests[-1].value,
        }

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """An image that does not verify is not evidence."""
        reject(recorder, cause)
