"""The live response: one command, its archive under the target's own digest, and what it means for the memory item."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from forensics.errors import (
    AccessDeniedError,
    AcquisitionError,
    DigestMismatchError,
    EvidenceTransferError,
    ThrottledError,
)
from forensics.memory.capture_state import CaptureState, state_of
from forensics.memory.live_response import ARCHIVE, PARTS, LiveResponse, give_up, record_processes
from forensics.models.custody import CustodyAction
from forensics.models.evidence import LiveResponseEvidence, MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.status_lines import CaptureStatus
from tests.unit.builders import CASE_ID, INSTANCE, target
from tests.unit.memory.target import Host, settings

ITEM, MEMORY = f"live-response-{INSTANCE}", f"memory-{INSTANCE}"
BODY = b"tar" * 1000


@pytest.fixture
def host() -> Host:
    return Host()


def live_response(host: Host) -> LiveResponse:
    return LiveResponse(host.recorder, host.ssm, settings())


def item(host: Host) -> LiveResponseEvidence:
    found = host.recorder.live_response()
    assert found is not None
    return found


def ended(host: Host, command_id: str = "command-1", **changes: Any) -> None:
    """The archive has landed and the command has ended with this line."""
    line = {
        "status": "ok", "reason": "", "bytes": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest(), "parts": 1, "items": 30,
        "cut": 0, "left_out": 0, "process_images": 0, "depth": "standard", **changes,
    }  # fmt: skip
    host.recorder.landing.objects[f"{item(host).origin.landing_prefix}/{ARCHIVE}"] = BODY
    host.ssm.answer(command_id, line)


def change_origin(host: Host, **changes: Any) -> None:
    known = item(host)
    host.recorder.save_evidence(known.model_copy(update={"origin": known.origin.model_copy(update=changes)}))


def test_the_command_is_given_the_urls_of_its_parts(host: Host) -> None:
    assert live_response(host).begin(target()) == "command-1"
    (sent,) = host.ssm.sent
    prefix = str(item(host).origin.landing_prefix)
    assert sent.document == "forensics-live_response_linux"
    assert sent.parameters == {
        "CaseId": CASE_ID,
        "EvidenceId": ITEM,
        "ManifestUrl": f"https://landing.invalid/{prefix}/manifest.txt",
        "Depth": "processes",
        "Seconds": "180",
        "ExecutionTimeout": "270",
    }
    lines = host.recorder.landing.objects[f"{prefix}/manifest.txt"].decode().splitlines()
    assert lines[:2] == ["forensics-manifest 1", "part_size 16777216"]
    assert lines[2].startswith(f"put status https://landing.invalid/{prefix}/status-1.json")
    assert (len(lines) - 3, PARTS) == (32, 32)
    detail = host.recorder.ledger.last(CustodyAction.HOST_TOUCHED).detail
    assert detail["command_id"] == "command-1" and "upload_id" not in detail


def test_with_an_image_of_all_memory_no_process_is_taken(host: Host) -> None:
    claims = CaptureStatus(status="ok", bytes=9, list_sha256="b" * 64, encoding="none")
    host.recorder.save_evidence(
        MemoryEvidence(evidence_id=MEMORY, outcome=Outcome.PENDING, origin=MemoryOrigin(claims=claims))
    )
    live_response(host).begin(target())
    assert host.ssm.sent[0].parameters["Depth"] == "standard"


def test_the_archive_becomes_evidence(host: Host) -> None:
    live_response(host).begin(target())
    ended(host)
    acquired = live_response(host).evaluate()
    assert acquired == item(host)
    assert (acquired.outcome, acquired.reason, acquired.size_bytes) == (Outcome.ACQUIRED, None, 3000)
    assert [d.source for d in acquired.digests] == ["target", "control-plane"]
    assert {d.value for d in acquired.digests} == {hashlib.sha256(BODY).hexdigest()}
    assert str(acquired.uri).endswith(f"/{ARCHIVE}")
    assert acquired.origin.claims is not None and acquired.origin.claims.items == 30
    assert host.recorder.ledger.actions()[1:] == [CustodyAction.EVIDENCE_ACQUIRED, CustodyAction.EVIDENCE_LOCKED]
    assert "live response taken: 30 items, 3000 bytes" in host.recorder.notes
    assert host.recorder.landing.revoked == [acquired.origin.landing_prefix]


def test_an_archive_that_landed_is_not_lost_because_ssm_lost_the_answer(host: Host) -> None:
    """API reference, Command, ExpiresAfter: also an invocation in progress becomes DeliveryTimedOut."""
    live_response(host).begin(target())
    ended(host)
    line = host.ssm.answers["command-1"].stdout
    host.recorder.landing.objects[f"{item(host).origin.landing_prefix}/status-1.json"] = line.encode()
    host.ssm.lose("command-1")
    assert live_response(host).evaluate().outcome is Outcome.ACQUIRED


def test_without_an_answer_and_without_a_landed_line_the_live_response_has_failed(host: Host) -> None:
    live_response(host).begin(target())
    ended(host)
    host.ssm.lose("command-1")
    with pytest.raises(AcquisitionError, match="DeliveryTimedOut") as error:
        live_response(host).evaluate()
    assert "PingStatus may be minutes old" in error.value.next_action and error.value.retryable


def test_the_collection_ends_before_the_credentials_that_sign_its_urls(host: Host) -> None:
    host.recorder.landing.life = 300
    live_response(host).begin(target())
    assert host.ssm.sent[-1].parameters["Seconds"] == "120"


def test_an_archive_that_landed_is_not_lost_because_its_manifest_stays(host: Host) -> None:
    live_response(host).begin(target())
    ended(host)
    host.recorder.landing.refusal = AccessDeniedError("no VPC endpoint policy allows the s3:DeleteObject action")
    assert live_response(host).evaluate().outcome is Outcome.ACQUIRED
    assert any("no VPC endpoint policy" in note for note in host.recorder.notes)


def test_what_is_missing_makes_it_partial_with_the_reason(host: Host) -> None:
    live_response(host).begin(target())
    ended(host, status="partial", reason="2 items were cut")
    acquired = live_response(host).evaluate()
    assert (acquired.outcome, acquired.reason) == (Outcome.PARTIAL, "2 items were cut")
    assert "live response taken: 30 items, 3000 bytes; 2 items were cut" in host.recorder.notes


def test_other_bytes_than_the_target_sent_are_not_evidence_and_the_next_attempt_sends_its_own(host: Host) -> None:
    live_response(host).begin(target())
    ended(host, sha256="0" * 64)
    with pytest.raises(DigestMismatchError, match="the target reports 0000"):
        live_response(host).evaluate()
    first = item(host)
    assert first.origin.attempt_failed
    assert live_response(host).begin(target()) == "command-2"
    assert host.recorder.landing.aborted == [f"{first.origin.landing_prefix}/{ARCHIVE}"]
    assert item(host).origin.landing_prefix != first.origin.landing_prefix


@pytest.mark.parametrize(
    ("status", "cause"), [("Failed", "live response failed: .*no tmpfs"), (None, "command command-1 has vanished from SSM")]
)  # fmt: skip
def test_a_command_that_failed_leaves_no_upload(host: Host, status: str | None, cause: str) -> None:
    live_response(host).begin(target())
    if status:
        host.ssm.answer("command-1", {"reason": "no tmpfs"}, status=status)
    with pytest.raises(AcquisitionError, match=cause):
        live_response(host).evaluate()
    assert host.recorder.landing.aborted == [f"{item(host).origin.landing_prefix}/{ARCHIVE}"]
    assert item(host).origin.attempt_failed


def test_a_bucket_that_does_not_answer_leaves_the_command_for_the_next_attempt(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_response(host).begin(target())
    ended(host)

    def throttled(key: str, *, upload_id: str, limit: int) -> int:
        raise ThrottledError("complete upload: SlowDown")

    with monkeypatch.context() as patch:
        patch.setattr(host.recorder.landing, "complete_upload", throttled)
        with pytest.raises(ThrottledError):
            live_response(host).evaluate()
    assert live_response(host).begin(target()) == "command-1"
    assert live_response(host).evaluate().outcome is Outcome.ACQUIRED
    assert len(host.ssm.sent) == 1


def test_a_command_whose_sender_was_killed_is_adopted(host: Host) -> None:
    live_response(host).begin(target())
    change_origin(host, command_id=None)
    host.ssm.live = "command-1"
    assert live_response(host).begin(target()) == "command-1"
    assert (item(host).origin.command_id, len(host.ssm.sent)) == ("command-1", 1)


def test_a_response_that_was_never_started_cannot_be_evaluated(host: Host) -> None:
    with pytest.raises(AcquisitionError, match=f"evidence {ITEM} was never started"):
        live_response(host).evaluate()


def test_single_processes_instead_of_an_image_make_the_memory_item_partial(host: Host) -> None:
    host.recorder.fail_evidence(
        MemoryEvidence(evidence_id=MEMORY, outcome=Outcome.NOT_APPLICABLE),
        reason="the kernel is locked down",
        outcome=Outcome.NOT_APPLICABLE,
    )
    live_response(host).begin(target())
    ended(host, depth="processes", process_images=3)
    live_response(host).evaluate()
    assert state_of(host.memory) is CaptureState.PROCESSES_ONLY
    assert host.memory.reason == f"the kernel is locked down; 3 suspicious processes are in {ITEM} instead"
    assert host.recorder.ledger.last(CustodyAction.EVIDENCE_FAILED).detail["outcome"] == "PARTIAL"


@pytest.mark.parametrize("outcome", [Outcome.ACQUIRED, Outcome.PARTIAL, Outcome.PENDING])
def test_a_memory_item_that_has_more_or_is_not_ended_stays_as_it_is(host: Host, outcome: Outcome) -> None:
    known = host.recorder.save_evidence(MemoryEvidence(evidence_id=MEMORY, outcome=outcome))
    live = LiveResponseEvidence(evidence_id=ITEM, outcome=Outcome.ACQUIRED)
    record_processes(host.recorder, live, images=1)
    assert host.memory == known


def test_giving_up_records_the_cause_unless_the_archive_is_there(host: Host) -> None:
    give_up(host.recorder, "no agent")
    assert (item(host).outcome, item(host).reason) == (Outcome.FAILED, "no agent")
    live_response(host).begin(target())
    ended(host)
    acquired = live_response(host).evaluate()
    give_up(host.recorder, "the ledger could not be signed")
    assert item(host) == acquired


@pytest.mark.parametrize(
    ("landed", "said"),
    [
        ({1: len(BODY) + 1}, "the target reports that it sent 3000"),
        (dict.fromkeys(range(1, 33), 5 * 1024**3), "bytes landed"),
    ],
    ids=["another size", "32 parts of 5 GiB"],
)
def test_an_archive_of_another_size_than_was_sent_is_not_stored(host: Host, landed: dict[int, int], said: str) -> None:
    live_response(host).begin(target())
    ended(host)
    host.recorder.landing.uploads[f"{item(host).origin.landing_prefix}/{ARCHIVE}"] = landed
    with pytest.raises(EvidenceTransferError, match=said):
        live_response(host).evaluate()
    assert host.recorder.evidence_store.objects == {} and item(host).origin.attempt_failed
