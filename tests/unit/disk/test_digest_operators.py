"""The step that hashes the disks: skipped without one, else the digest of each is its result."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from forensics.disk import digest_operators
from forensics.disk.digest_operators import DigestDisksOperator
from forensics.disk.disk_digests import DiskDigests
from forensics.models.evidence import DiskEvidence, EvidenceKind, Outcome
from tests.unit.accounts import act, prepare
from tests.unit.builders import evidence
from tests.unit.recorders import FakeRecorder


def step_of(recorder: FakeRecorder) -> DigestDisksOperator:
    made = DigestDisksOperator(task_id="digest_disks")
    prepare(made, recorder)
    return made


@pytest.mark.parametrize(
    ("outcome", "origin"),
    [(Outcome.FAILED, {"copy_id": "copy-1"}), (Outcome.PENDING, {"copy_id": "copy-1"}), (Outcome.ACQUIRED, {})],
)
def test_without_an_acquired_copy_there_is_nothing_to_hash(outcome: Outcome, origin: dict[str, str]) -> None:
    recorder = FakeRecorder()
    recorder.save_evidence(evidence(EvidenceKind.DISK, outcome, origin=origin))
    with pytest.raises(AirflowSkipException, match="nothing to hash"):
        act(step_of(recorder), recorder)


def test_every_acquired_disk_is_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = FakeRecorder()
    recorder.save_evidence(evidence(EvidenceKind.DISK, origin={"copy_id": "copy-1"}))

    class Digests(DiskDigests):
        def digest(self, item: DiskEvidence) -> str:
            return f"digest of {item.origin.copy_id}"

    monkeypatch.setattr(digest_operators, "DiskDigests", Digests)
    assert act(step_of(recorder), recorder) == {"disk-vol-1": "digest of copy-1"}
    assert recorder.ledger.signed == ["disk-digest"]
