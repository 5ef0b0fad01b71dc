"""The verification's step: on which images it runs and what it returns."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from forensics.errors import MemoryCaptureError
from forensics.memory import verify_operators
from forensics.memory.capture_state import CaptureState, state_of
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.models.evidence import Digest, MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.status_lines import CaptureStatus
from tests.unit.builders import INSTANCE
from tests.unit.recorders import FakeRecorder, context

STEP = VerifyMemoryOperator(task_id="verify_memory")
ITEM = f"memory-{INSTANCE}"
CLAIMS = CaptureStatus(status="ok", bytes=9, list_sha256="b" * 64, encoding="none")


def memory(outcome: Outcome, *, landed: bool = True) -> MemoryEvidence:
    return MemoryEvidence(evidence_id=ITEM, outcome=outcome, origin=MemoryOrigin(claims=CLAIMS if landed else None))


@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.PARTIAL, Outcome.FAILED])
def test_a_landed_image_is_verified_also_once_more(monkeypatch: pytest.MonkeyPatch, outcome: Outcome) -> None:
    recorder, seen = FakeRecorder(), []
    known = recorder.save_evidence(memory(outcome))
    digest = Digest(value="d" * 64, subject="the stored object, all bytes", source="control-plane")

    def verification(given: FakeRecorder, evidence: MemoryEvidence) -> SimpleNamespace:
        seen.append((given, evidence))
        verified = evidence.model_copy(update={"outcome": Outcome.ACQUIRED, "digests": (digest,)})
        return SimpleNamespace(run=lambda: verified)

    monkeypatch.setattr(verify_operators, "MemoryVerification", verification)
    assert STEP.act(recorder, context()) == {"evidence_id": ITEM, "outcome": "ACQUIRED", "sha256": "d" * 64}
    assert seen == [(recorder, known)]


def test_a_verified_image_stays_as_it_is() -> None:
    recorder = FakeRecorder()
    recorder.save_evidence(memory(Outcome.ACQUIRED))
    assert STEP.act(recorder, context()) == {"evidence_id": ITEM, "already": True}


@pytest.mark.parametrize(
    ("known", "state"),
    [
        (None, "NOT_STARTED"),
        (memory(Outcome.PENDING, landed=False), "PREPARED"),
        (memory(Outcome.SKIPPED), "NOT_TAKEN"),
    ],
)
def test_without_an_image_the_step_fails_and_the_item_stays(known: MemoryEvidence | None, state: str) -> None:
    recorder = FakeRecorder()
    if known:
        recorder.save_evidence(known)
    with pytest.raises(MemoryCaptureError, match=f"no memory image has landed: the capture is {state}") as error:
        STEP.act(recorder, context())
    assert error.value.next_action == "clear memory.capture_memory"
    STEP.on_final_failure(recorder, str(error.value))
    assert recorder.memory() == known


def test_an_image_that_does_not_verify_is_not_evidence() -> None:
    recorder = FakeRecorder()
    recorder.save_evidence(memory(Outcome.PENDING))
    STEP.on_final_failure(recorder, "digests differ")
    found = recorder.memory()
    assert found is not None and found.reason == "digests differ"
    assert state_of(found) is CaptureState.IMAGE_FAILED
