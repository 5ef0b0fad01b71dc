"""The live response: one command, its archive under the target's own digest, and what it means for the memory item."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from forensics.errors import (
    AccessDeniedError,
    AcquisitionError,
    DigestMismatchError,
    EvidenceSizeError,
    EvidenceTransferError,
    ThrottledError,
)
from forensics.memory.capture_state import CaptureState, state_of
from forensics.memory.landed_archive import PARTS, part_key
from forensics.memory.live_response import (
    LiveResponse,
    Pass,
    give_up,
    lacks_processes,
    record_processes,
    settle,
)
from forensics.models.custody import CustodyAction
from forensics.models.evidence import LiveResponseEvidence, MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.status_lines import CaptureStatus
from tests.unit.builders import CASE_ID, INSTANCE, target
from tests.unit.memory.live_archives import archive
from tests.unit.memory.target import Host, settings

ITEM, MEMORY = f"live-response-{INSTANCE}", f"memory-{INSTANCE}"
BODY = archive({"20-process-states": b"1 (init) S 0"})


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
    land(host, BODY)
    host.ssm.answer(command_id, line)


def land(host: Host, *parts: bytes) -> None:
    """Parts are where the target puts them."""
    for number, part in enumerate(parts, start=1):
        host.recorder.landing.objects[part_key(str(item(host).origin.landing_prefix), number)] = part


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
    assert (len(lines) - 3, PARTS) == (64, 64)
    assert lines[4] == f"part 2 https://landing.invalid/{prefix}/live-response.tar.02"
    detail = host.recorder.ledger.last(CustodyAction.HOST_TOUCHED).detail
    assert detail["command_id"] == "command-1" and "upload_id" not in detail
    assert (Path(__file__).parents[3] / detail["footprint"]).is_file(), "the page that says what the run changes"


def manifest_of(host: Host) -> list[str]:
    found = [body for key, body in host.recorder.landing.objects.items() if key.endswith("/manifest.txt")]
    return found[-1].decode().splitlines()


def test_a_static_collector_is_offered_where_one_is_configured_and_not_to_the_first_pass(host: Host) -> None:
    collectors = settings(static_collector_sha256="c" * 64, static_collector_arm64_sha256="d" * 64)
    LiveResponse(host.recorder, host.ssm, collectors).begin(target())
    assert [line.rsplit(" ", 1)[0] for line in manifest_of(host) if line.startswith("get ")] == [
        f"get collector.x86_64 {'c' * 64}",
        f"get collector.aarch64 {'d' * 64}",
    ]
    assert manifest_of(host)[2].endswith("https://tools.invalid/tools/busybox")
    LiveResponse(host.recorder, host.ssm, collectors, Pass.FIRST).begin(target())
    assert not [line for line in manifest_of(host) if line.startswith("get ")]


def test_windows_takes_no_process_s_memory_and_is_not_asked_for_it_again(host: Host) -> None:
    live_response(host).begin(target(platform="windows"))
    assert host.ssm.sent[0].document == "forensics-live_response_windows"
    assert host.ssm.sent[0].parameters["Depth"] == "standard"
    ended(host)
    live_response(host).evaluate()
    failed = MemoryEvidence(evidence_id=MEMORY, outcome=Outcome.FAILED, reason="no driver")
    host.recorder.save_evidence(failed)
    assert not lacks_processes(host.recorder)


def test_what_the_target_hides_is_announced_and_an_honest_host_is_not(host: Host) -> None:
    live_response(host).begin(target())
    ended(host, hidden=0, differences=0, collector="c" * 64)
    live_response(host).evaluate()
    assert not [note for note in host.recorder.notes if "ALERT" in note] and not host.recorder.mailbox.mail
    other = Host()
    live_response(other).begin(target())
    ended(other, hidden=1, differences=2, reason="ls did not say: process 4558 (zz-planted)")
    live_response(other).evaluate()
    (alert,) = [note for note in other.recorder.notes if "ALERT" in note]
    assert "do not say what is there: 1 hidden processes, 2 differences from the static collector" in alert
    (mail,) = other.recorder.mailbox.mail
    assert "ALERT: the target hides something" in mail.subject
    assert "ls did not say: process 4558 (zz-planted)" in mail.lines


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
    assert (acquired.outcome, acquired.reason, acquired.size_bytes) == (Outcome.ACQUIRED, None, len(BODY))
    assert [d.source for d in acquired.digests] == ["target", "control-plane"]
    assert {d.value for d in acquired.digests} == {hashlib.sha256(BODY).hexdigest()}
    assert str(acquired.uri).endswith("/live-response.tar")
    assert acquired.origin.claims is not None and acquired.origin.claims.items == 30
    assert host.recorder.ledger.actions()[1:] == [
        CustodyAction.OBJECT_STORED,
        CustodyAction.EVIDENCE_ACQUIRED,
        CustodyAction.EVIDENCE_LOCKED,
        CustodyAction.ARTIFACT_STORED,  # what was read of it
    ]
    assert f"live response taken: 30 items, {len(BODY)} bytes" in host.recorder.notes
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
    assert f"live response taken: 30 items, {len(BODY)} bytes; 2 items were cut" in host.recorder.notes


def test_other_bytes_than_the_target_sent_are_not_evidence_and_the_next_attempt_sends_its_own(host: Host) -> None:
    live_response(host).begin(target())
    ended(host, sha256="0" * 64)
    with pytest.raises(DigestMismatchError, match="the target reports 0000"):
        live_response(host).evaluate()
    first = item(host)
    assert first.origin.attempt_failed
    assert live_response(host).begin(target()) == "command-2"
    assert host.recorder.landing.revoked[-1] == first.origin.landing_prefix
    assert item(host).origin.landing_prefix != first.origin.landing_prefix


@pytest.mark.parametrize(
    ("status", "cause"), [("Failed", "live response failed: .*no tmpfs"), (None, "command command-1 has vanished from SSM")]
)  # fmt: skip
def test_a_command_that_failed_and_sent_nothing_is_sent_again(host: Host, status: str | None, cause: str) -> None:
    live_response(host).begin(target())
    if status:
        host.ssm.answer("command-1", {"reason": "no tmpfs"}, status=status)
    with pytest.raises(AcquisitionError, match=cause):
        live_response(host).evaluate()
    assert item(host).origin.attempt_failed
    assert live_response(host).begin(target()) == "command-2"


def test_a_bucket_that_does_not_answer_leaves_the_command_for_the_next_attempt(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_response(host).begin(target())
    ended(host)

    def throttled(key: str) -> int:
        raise ThrottledError("look at it: SlowDown")

    with monkeypatch.context() as patch:
        patch.setattr(host.recorder.landing, "size", throttled)
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


def test_what_had_left_a_host_whose_run_was_ended_is_evidence(host: Host) -> None:
    live_response(host).begin(target())
    land(host, BODY[:512], BODY[512:1024])
    host.ssm.lose("command-1")
    acquired = live_response(host).evaluate()
    assert (acquired.outcome, acquired.size_bytes, acquired.origin.claims) == (Outcome.PARTIAL, 1024, None)
    assert "the run was ended before its last part" in str(acquired.reason)
    assert "its last parts did not leave the host" in str(acquired.reason)
    assert [d.source for d in acquired.digests] == ["control-plane"]


def test_an_archive_that_is_not_what_its_index_says_is_kept_and_not_called_whole(host: Host) -> None:
    live_response(host).begin(target())
    body = BODY.replace(b"1 (init) S 0", b"1 (evil) S 0")
    ended(host, sha256=hashlib.sha256(body).hexdigest())
    land(host, body)
    acquired = live_response(host).evaluate()
    assert (acquired.outcome, acquired.reason) == (Outcome.PARTIAL, "20-process-states is not what the index says")


def test_the_parts_are_joined_in_their_order_and_no_more_of_them_than_were_sent(host: Host) -> None:
    live_response(host).begin(target())
    ended(host, parts=2)
    land(host, BODY[:512], BODY[512:], b"planted")
    assert live_response(host).evaluate().outcome is Outcome.ACQUIRED
    (stored,) = (b for key, b in host.recorder.evidence_store.objects.items() if key.endswith(".tar"))
    assert stored == BODY


@pytest.mark.parametrize(
    ("landed", "said"),
    [(len(BODY) + 1, f"the target reports that it sent {len(BODY)}"), (5 * 1024**3, "more than the 536870912")],
    ids=["another size", "5 GiB"],
)
def test_an_archive_of_another_size_than_was_sent_is_not_stored(
    host: Host, landed: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_response(host).begin(target())
    ended(host)
    monkeypatch.setattr(host.recorder.landing, "size", lambda key: landed if key.endswith(".01") else None)
    with pytest.raises((EvidenceTransferError, EvidenceSizeError), match=said):
        live_response(host).evaluate()
    assert host.recorder.evidence_store.objects == {} and item(host).origin.attempt_failed


def test_a_part_that_grows_while_it_is_read_is_not_read_further(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    live_response(host).begin(target())
    ended(host)
    sizes = {part_key(str(item(host).origin.landing_prefix), 1): len(BODY)}
    land(host, BODY + b"more")
    monkeypatch.setattr(host.recorder.landing, "size", sizes.get)
    with pytest.raises(EvidenceTransferError, match="has another size now"):
        live_response(host).evaluate()
    assert item(host).origin.attempt_failed


def first_pass(host: Host) -> LiveResponse:
    return LiveResponse(host.recorder, host.ssm, settings(), Pass.FIRST)


def first_landed(host: Host) -> None:
    known = first_pass(host).known()
    assert known is not None
    host.recorder.landing.objects[part_key(str(known.origin.landing_prefix), 1)] = BODY
    digest = hashlib.sha256(BODY).hexdigest()
    line = {"status": "ok", "bytes": len(BODY), "sha256": digest, "items": 18, "process_images": 0, "depth": "first"}
    host.ssm.answer("command-1", line)


def test_the_first_pass_becomes_an_item_of_its_own_when_it_has_landed(host: Host) -> None:
    first_pass(host).begin(target())
    assert host.recorder.evidence_item(f"{ITEM}-first") is None
    settle(host.recorder, host.ssm, settings())
    assert any("the first pass of the live response is missing" in note for note in host.recorder.notes)
    first_pass(host).begin(target())
    first_landed(host)
    host.ssm.answers["command-2"] = host.ssm.answers["command-1"]
    settle(host.recorder, host.ssm, settings())
    item_ = host.recorder.evidence_item(f"{ITEM}-first")
    assert item_ is not None and item_.outcome is Outcome.ACQUIRED
    assert host.recorder.live_response() is None, "the whole one is still to come"
    before = len(host.recorder.ledger.actions())
    settle(host.recorder, host.ssm, settings())
    assert len(host.recorder.ledger.actions()) == before


def test_a_first_pass_that_still_runs_is_left_to_a_later_step(host: Host) -> None:
    first_pass(host).begin(target())
    host.ssm.answer("command-1", {}, status="InProgress")
    settle(host.recorder, host.ssm, settings())
    known = first_pass(host).known()
    assert known is not None and not known.origin.attempt_failed


@pytest.mark.parametrize(
    ("depth", "memory", "lacks"),
    [
        ("standard", Outcome.FAILED, True),
        ("standard", Outcome.PENDING, False),
        ("standard", Outcome.ACQUIRED, False),
        ("processes", Outcome.FAILED, False),
    ],
)
def test_processes_are_taken_after_all_where_the_last_try_brought_no_image(
    host: Host, depth: str, memory: Outcome, lacks: bool
) -> None:
    LiveResponse(host.recorder, host.ssm, settings(), depth="standard").begin(target())
    assert host.ssm.sent[0].parameters["Depth"] == "standard"
    ended(host, depth=depth)
    live_response(host).evaluate()
    host.recorder.save_evidence(MemoryEvidence(evidence_id=MEMORY, outcome=memory))
    assert lacks_processes(host.recorder) is lacks
