"""The capture from one command to the next: adopted, evaluated, continued, completed, declined, given up."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics import case_keys
from forensics.aws.ssm import Invocation
from forensics.errors import AccessDeniedError, EvidenceSizeError, EvidenceTransferError, MemoryCaptureError
from forensics.memory.capture import (
    LandedImage,
    MemoryCapture,
    MemoryNotTaken,
    RunningCommand,
    decline,
    give_up,
    is_done,
    not_wanted,
)
from forensics.memory.capture_state import CaptureState, state_of
from forensics.memory.upload_manifest import IMAGE, LIST
from forensics.models.case import Milestone
from forensics.models.custody import CustodyAction
from forensics.models.evidence import LIST_SUBJECT, MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.plan import Action
from forensics.models.status_lines import CaptureStatus
from tests.unit.builders import INSTANCE, decision, plan, target
from tests.unit.memory.target import Ec2OfTarget, Host, settings, status_line

ITEM = f"memory-{INSTANCE}"
PARTS = [b"a" * 4000, b"b" * 4000]


@pytest.fixture
def host() -> Host:
    made = Host()
    made.probed()
    return made


def capture(host: Host) -> MemoryCapture:
    return MemoryCapture(host.recorder, host.gateways, settings())


def begun(host: Host) -> RunningCommand:
    """The first command runs."""
    return capture(host).begin(target())


def change_origin(host: Host, **changes: Any) -> None:
    host.recorder.save_evidence(
        host.memory.model_copy(update={"origin": host.memory.origin.model_copy(update=changes)})
    )


def state(host: Host) -> CaptureState:
    return state_of(host.recorder.memory())


def test_the_first_attempt_gets_all_the_time_and_touches_the_host_once(host: Host) -> None:
    command = begun(host)
    assert command == RunningCommand("command-1", 3600.0)
    assert state(host) is CaptureState.RUNNING
    assert host.recorder.ledger.actions() == [CustodyAction.HOST_TOUCHED]


def test_a_command_that_still_runs_is_adopted_by_the_next_attempt(host: Host) -> None:
    begun(host)
    change_origin(host, command_id=None)  # the process was killed before it could record the command
    assert state(host) is CaptureState.PREPARED
    host.ssm.live = "command-1"
    assert begun(host).command_id == "command-1"
    assert len(host.ssm.sent) == 1
    assert host.memory.origin.command_id == "command-1"
    assert host.recorder.ledger.actions() == [CustodyAction.HOST_TOUCHED], "the ledger states each command once"


def test_a_command_that_ended_while_its_task_was_lost_is_evaluated_and_not_sent_again(host: Host) -> None:
    begun(host)
    assert begun(host).command_id == "command-1"
    assert len(host.ssm.sent) == 1


def test_all_attempts_together_get_the_time_of_one(host: Host) -> None:
    begun(host)
    change_origin(host, first_started=datetime.now(UTC) - timedelta(seconds=3000))
    assert 590 < begun(host).seconds_left < 600
    change_origin(host, first_started=datetime.now(UTC) - timedelta(seconds=3601))
    host.ssm.live = "command-1"
    with pytest.raises(MemoryCaptureError, match="has used its 3600 s") as error:
        begun(host)
    assert not error.value.retryable
    assert host.ssm.cancelled == ["command-1"]


def test_after_a_person_cleared_the_task_the_time_starts_anew(host: Host) -> None:
    begun(host)
    change_origin(host, first_started=datetime.now(UTC) - timedelta(hours=9))
    give_up(host.recorder, "cancelled")
    assert begun(host).seconds_left == 3600.0


# ---------------------------------------------------------------------- evaluating
def test_a_complete_image_has_landed_with_what_the_target_claims(host: Host) -> None:
    begun(host)
    text = host.landed(PARTS)
    host.ssm.answer("command-1", status_line(text, 8000, sha256="f" * 64))
    assert capture(host).evaluate() == LandedImage(ITEM, 8000)
    memory = host.memory
    assert state(host) is CaptureState.LANDED and is_done(host.recorder)
    assert (memory.size_bytes, memory.origin.landed_bytes) == (8000, 8000)
    assert [(d.value, d.subject, d.source) for d in memory.digests] == [
        ("f" * 64, "the byte stream as the target sent it", "target")
    ]
    assert host.recorder.landing.revoked[-1] == memory.origin.landing_prefix
    assert "memory captured by avml: 8000 bytes, 8000 as sent" in host.recorder.notes
    assert host.recorder.store.has(host.case.case_id, f"{case_keys.MILESTONE}{Milestone.MEMORY_COMPLETE.value}")


def test_an_image_that_landed_is_not_lost_because_its_manifest_stays(host: Host) -> None:
    begun(host)
    host.ssm.answer("command-1", status_line(host.landed(PARTS), 8000, sha256="f" * 64))
    host.recorder.landing.refusal = AccessDeniedError("no VPC endpoint policy allows the s3:DeleteObject action")
    assert capture(host).evaluate() == LandedImage(ITEM, 8000)
    assert any("no VPC endpoint policy" in note for note in host.recorder.notes)


def test_without_a_digest_of_the_stream_the_list_of_parts_is_claimed(host: Host) -> None:
    begun(host)
    text = host.landed(PARTS)
    line = status_line(text, 8000)
    host.ssm.answer("command-1", line)
    capture(host).evaluate()
    assert [(d.value, d.subject) for d in host.memory.digests] == [(line["list_sha256"], LIST_SUBJECT)]


def test_an_image_of_another_size_than_the_target_sent_is_refused(host: Host) -> None:
    begun(host)
    text = host.landed(PARTS)
    host.ssm.answer("command-1", status_line(text, 8001))
    with pytest.raises(EvidenceTransferError, match="8000 bytes landed but the target reports that it sent 8001"):
        capture(host).evaluate()
    host.ssm.answer("command-1", status_line(text, 9000, encoding="zstd"))
    assert capture(host).evaluate() == LandedImage(ITEM, 9000), "a compressed image may be of any size"


def test_an_image_without_the_list_of_its_parts_is_refused(host: Host) -> None:
    begun(host)
    text = host.landed(PARTS)
    del host.recorder.landing.objects[f"{host.memory.origin.landing_prefix}/{LIST}"]
    host.ssm.answer("command-1", status_line(text, 8000))
    with pytest.raises(EvidenceTransferError, match="without the list of its parts"):
        capture(host).evaluate()


def test_a_line_of_another_form_is_a_failed_attempt_that_names_the_field(host: Host) -> None:
    begun(host)
    text = host.landed(PARTS)
    host.ssm.answer("command-1", status_line(text, 0))
    with pytest.raises(MemoryCaptureError, match=r"without a valid status line \(bytes\)"):
        capture(host).evaluate()


def test_a_capture_that_was_never_started_cannot_be_evaluated(host: Host) -> None:
    with pytest.raises(MemoryCaptureError, match=f"evidence {ITEM} was never started"):
        capture(host).evaluate()


def test_an_interrupted_capture_keeps_what_landed(host: Host) -> None:
    begun(host)
    host.landed(PARTS)
    host.ssm.answer("command-1", {"reason": "killed"}, status="Failed")
    with pytest.raises(
        MemoryCaptureError, match="killed; 2 parts have landed, the next attempt resumes there"
    ) as error:
        capture(host).evaluate()
    assert error.value.retryable
    assert state(host) is CaptureState.INTERRUPTED
    assert host.memory.origin.attempts_without_data == 0
    begun(host)
    assert (host.memory.origin.first_part, len(host.ssm.sent)) == (3, 2)


def test_three_attempts_that_sent_nothing_are_enough(host: Host) -> None:
    retryable = []
    for number in (1, 2, 3):
        begun(host)
        host.ssm.answer(f"command-{number}", {"reason": "no network"}, status="Failed")
        with pytest.raises(MemoryCaptureError, match=r"memory capture failed: .*no network$") as error:
            capture(host).evaluate()
        retryable.append(error.value.retryable)
    assert retryable == [True, True, False]
    assert host.memory.origin.attempts_without_data == 3


def test_a_command_that_ssm_does_not_know_any_more_is_a_failed_attempt(host: Host) -> None:
    begun(host)
    with pytest.raises(MemoryCaptureError, match="command command-1 has vanished from SSM"):
        capture(host).evaluate()


def test_resuming_that_gets_nowhere_is_not_tried_twice(host: Host) -> None:
    begun(host)
    host.landed(PARTS)
    host.ssm.answer("command-1", {}, status="TimedOut")
    with pytest.raises(MemoryCaptureError):
        capture(host).evaluate()
    begun(host)
    host.ssm.answer("command-2", {"reason": "rebooted"}, status="Failed")
    with pytest.raises(MemoryCaptureError):
        capture(host).evaluate()
    assert str(host.memory.origin.no_resume).startswith("resuming at part 3 failed: ")
    begun(host)
    assert host.memory.origin.first_part == 1
    assert any(
        n.startswith("memory capture starts from the beginning: resuming at part 3 failed") for n in host.recorder.notes
    )


def interrupted_after_two_parts(host: Host, line: dict[str, Any]) -> None:
    """Two parts have landed, and going on from there ended with this line."""
    host.probed()
    begun(host)
    host.landed(PARTS)
    host.ssm.answer("command-1", {}, status="TimedOut")
    with pytest.raises(MemoryCaptureError):
        capture(host).evaluate()
    begun(host)
    host.ssm.answer("command-2", line, status="Failed")
    with pytest.raises(MemoryCaptureError):
        capture(host).evaluate()


def test_a_precondition_that_fails_is_no_failed_resume(host: Host) -> None:
    interrupted_after_two_parts(host, {"reason": "the capture needs 65536 KiB of tmpfs", "stage": "precondition"})
    assert host.memory.origin.no_resume is None
    begun(host)
    assert host.memory.origin.first_part == 3, "nothing that landed is sent again"


def test_a_tool_that_dies_in_the_middle_is_followed_by_another_and_what_landed_stays(host: Host) -> None:
    interrupted_after_two_parts(host, {"reason": "avml ended with 137", "stage": "stream"})
    old = host.memory.origin.landing_prefix
    begun(host)
    assert (host.memory.origin.methods, host.memory.origin.died) == (("kcore",), ("avml",))
    assert "not avml: its capture died in the middle" in str(host.memory.origin.why)
    assert host.recorder.landing.aborted == []
    assert any(f"stays at s3://landing/{old}/" in note for note in host.recorder.notes)


def test_a_machine_that_was_started_anew_is_no_fault_of_the_tool(host: Host) -> None:
    interrupted_after_two_parts(host, {"reason": "the instance was started anew", "stage": "resume"})
    begun(host)
    assert (host.memory.origin.first_part, host.memory.origin.methods) == (1, ("avml", "kcore"))


def test_a_segment_that_ended_before_its_urls_did_is_followed_by_the_next(host: Host) -> None:
    begun(host)
    text = host.landed(PARTS)
    host.ssm.answer("command-1", status_line(text, 8000, status="more"))
    found = capture(host).evaluate()
    assert isinstance(found, RunningCommand) and found.command_id == "command-2"
    assert (state(host), host.memory.origin.first_part) == (CaptureState.RUNNING, 3)


def test_no_segment_follows_when_the_time_is_used(host: Host) -> None:
    begun(host)
    text = host.landed(PARTS)
    change_origin(host, first_started=datetime.now(UTC) - timedelta(seconds=3601))
    host.ssm.answer("command-1", status_line(text, 8000, status="more"))
    with pytest.raises(MemoryCaptureError, match="has used its 3600 s"):
        capture(host).evaluate()
    assert len(host.ssm.sent) == 1


# ---------------------------------------------------------------------- no image
def test_a_target_that_gives_no_image_is_declined_and_people_are_notified(host: Host) -> None:
    host.probed(lockdown="confidentiality", kcore=False)
    with pytest.raises(MemoryNotTaken, match=r"memory is not captured: .*locked down: confidentiality"):
        begun(host)
    assert (state(host), host.memory.outcome) == (CaptureState.NOT_TAKEN, Outcome.NOT_APPLICABLE)
    assert host.ssm.sent == []
    (mail,) = host.recorder.mailbox.mail
    assert (mail.event, mail.facts["step"]) == ("failed:memory.capture_memory", "memory.capture_memory")
    assert "Memory cannot be captured" in mail.subject


def test_windows_is_captured_with_its_tool_and_without_one_declined_by_name(host: Host) -> None:
    host.probed(os_id="windows")
    with_tool = MemoryCapture(host.recorder, host.gateways, settings(winpmem_sha256="d" * 64))
    with_tool.begin(target(platform="windows"))
    assert host.ssm.sent[0].document == "forensics-acquire_memory_windows"
    assert host.memory.origin.methods == ("winpmem",)
    manifest = host.recorder.landing.objects[f"{host.memory.origin.landing_prefix}/manifest.txt"].decode()
    assert f"get winpmem {'d' * 64} " in manifest and "get avml" not in manifest
    other = Host()
    other.probed(os_id="windows")
    with pytest.raises(MemoryNotTaken, match=r"live response only \(winpmem: no go-winpmem is in the tools bucket"):
        capture(other).begin(target(platform="windows"))
    assert (state(other), other.ssm.sent) == (CaptureState.NOT_TAKEN, [])


def test_a_windows_capture_that_was_interrupted_reads_on_behind_what_landed(host: Host) -> None:
    host.probed(os_id="windows")
    tool = settings(winpmem_sha256="d" * 64)
    MemoryCapture(host.recorder, host.gateways, tool).begin(target(platform="windows"))
    text = host.landed(PARTS, head="winpmem none 8dd1a2b3c4d5e6f")
    line = status_line(text, 8000, status="more") | {"method": "winpmem", "encoding": "none"}
    host.ssm.answer("command-1", line)
    host.recorder.put(case_keys.TARGET, target(platform="windows"))
    found = MemoryCapture(host.recorder, host.gateways, tool).evaluate()
    assert isinstance(found, RunningCommand) and found.command_id == "command-2"
    manifest = host.recorder.landing.objects[f"{host.memory.origin.landing_prefix}/manifest.txt"].decode()
    assert "method winpmem" in manifest and "expect boot 8dd1a2b3c4d5e6f" in manifest and "get winpmem" in manifest


def test_what_was_not_wanted_is_skipped_without_a_message(host: Host) -> None:
    reason = not_wanted(host.recorder, plan(memory=False))
    assert str(reason) == "memory is not captured: because"
    assert (host.memory.outcome, host.recorder.mailbox.mail) == (Outcome.SKIPPED, [])


def test_what_was_wanted_but_is_not_possible_names_the_next_action(host: Host) -> None:
    impossible = plan().model_copy(update={"memory": decision(Action.MEMORY, possible=False)})
    not_wanted(host.recorder, impossible)
    not_wanted(host.recorder, impossible)
    assert host.memory.outcome is Outcome.NOT_APPLICABLE
    assert host.recorder.ledger.actions() == [CustodyAction.EVIDENCE_FAILED], "recorded once"
    (mail,) = host.recorder.mailbox.mail
    assert mail.lines[-1].startswith(
        "What to do next: bring the instance under SSM and start a case for memory manually"
    )


CLAIMS = CaptureStatus(status="ok", bytes=9, list_sha256="b" * 64, encoding="none")


def acquired(outcome: Outcome) -> MemoryEvidence:
    """An image that was stored before."""
    return MemoryEvidence(
        evidence_id=ITEM, outcome=outcome, uri="s3://evidence/k", reason="before", origin=MemoryOrigin(claims=CLAIMS)
    )


@pytest.mark.parametrize("outcome", [Outcome.PARTIAL, Outcome.FAILED])
def test_the_record_of_a_stored_image_is_kept_when_another_capture_gets_nothing(host: Host, outcome: Outcome) -> None:
    stored = host.recorder.save_evidence(acquired(outcome))
    give_up(host.recorder, "the second capture failed")
    decline(host.recorder, Outcome.NOT_APPLICABLE, "the kernel is locked down now", next_action="look")
    assert host.memory == stored
    assert len(host.recorder.mailbox.mail) == 1, "people are notified all the same"


def test_giving_up_records_the_cause(host: Host) -> None:
    give_up(host.recorder, "the role may not send commands")
    assert (state(host), host.memory.reason) == (CaptureState.FAILED, "the role may not send commands")
    begun(host)
    give_up(host.recorder, "the target is gone")
    assert (state(host), host.memory.reason) == (CaptureState.FAILED, "the target is gone")
    assert host.recorder.landing.revoked[-1] == host.memory.origin.landing_prefix


@pytest.mark.parametrize(
    ("outcome", "done"), [(Outcome.ACQUIRED, True), (Outcome.PENDING, True), (Outcome.PARTIAL, False), (Outcome.FAILED, False)]
)  # fmt: skip
def test_there_is_nothing_left_to_capture_when_an_image_landed_that_was_not_rejected(
    host: Host, outcome: Outcome, done: bool
) -> None:
    host.recorder.save_evidence(acquired(outcome))
    assert is_done(host.recorder) is done


# ---------------------------------------------------------------------- what SSM lost
def test_an_image_that_landed_is_not_lost_because_ssm_lost_the_answer(host: Host) -> None:
    """API reference, Command, ExpiresAfter: also an invocation in progress becomes DeliveryTimedOut."""
    begun(host)
    text = host.landed(PARTS)
    line = json.dumps(status_line(text, 8000, sha256="f" * 64))
    host.recorder.landing.objects[f"{host.memory.origin.landing_prefix}/status-1.json"] = line.encode()
    host.ssm.lose("command-1")
    assert capture(host).evaluate() == LandedImage(ITEM, 8000)
    assert len(host.ssm.sent) == 1
    assert any("SSM calls command command-1 DeliveryTimedOut" in note for note in host.recorder.notes)


def test_a_line_that_landed_names_the_cause_that_ssm_lost(host: Host) -> None:
    begun(host)
    line = json.dumps({"status": "failed", "reason": "zstd is gone"}).encode()
    host.recorder.landing.objects[f"{host.memory.origin.landing_prefix}/status-1.json"] = line
    host.ssm.answers["command-1"] = Invocation(
        command_id="command-1", instance_id=INSTANCE, status="Failed", detail="Failed", exit_code=1
    )
    with pytest.raises(MemoryCaptureError, match="zstd is gone"):
        capture(host).evaluate()


@pytest.mark.parametrize("landed", [b"", b"not JSON", b"x" * 20000, b'{"status":"who knows"}'])
def test_what_is_no_status_line_is_not_believed(host: Host, landed: bytes) -> None:
    begun(host)
    host.landed(PARTS)
    host.recorder.landing.objects[f"{host.memory.origin.landing_prefix}/status-1.json"] = landed
    host.ssm.answers["command-1"] = Invocation(
        command_id="command-1", instance_id=INSTANCE, status="Failed", detail="Failed", exit_code=1
    )
    with pytest.raises(MemoryCaptureError, match="ended Failed"):
        capture(host).evaluate()


def test_a_command_that_no_agent_took_is_sent_again_within_the_same_try(host: Host) -> None:
    begun(host)
    host.ssm.lose("command-1")
    again = capture(host).evaluate()
    assert isinstance(again, RunningCommand) and again.command_id == "command-2"
    first, second = host.ssm.sent
    assert first.comment == second.comment
    assert state(host) is CaptureState.RUNNING


def test_a_command_that_the_wait_gave_up_is_sent_again(host: Host) -> None:
    """User guide, *Understanding command statuses*: Delayed, which SSM goes on with; the wait does not."""
    begun(host)
    host.ssm.answers["command-1"] = Invocation(
        command_id="command-1", instance_id=INSTANCE, status="Cancelled", detail="Cancelled", exit_code=-1
    )
    assert capture(host).evaluate(lost=True) == RunningCommand("command-2", pytest.approx(3600, abs=60))


def test_a_command_that_a_person_cancelled_is_not_sent_again_at_once(host: Host) -> None:
    begun(host)
    host.ssm.answers["command-1"] = Invocation(
        command_id="command-1", instance_id=INSTANCE, status="Cancelled", detail="Cancelled", exit_code=-1
    )
    with pytest.raises(MemoryCaptureError, match="ended Cancelled"):
        capture(host).evaluate()
    assert len(host.ssm.sent) == 1


def test_a_host_that_never_answers_is_given_up(host: Host) -> None:
    begun(host)
    for number in (1, 2):
        host.ssm.lose(f"command-{number}")
        assert isinstance(capture(host).evaluate(), RunningCommand)
    host.ssm.lose("command-3")
    with pytest.raises(MemoryCaptureError, match="DeliveryTimedOut") as error:
        capture(host).evaluate()
    assert not error.value.retryable and "whether it is connected" in error.value.next_action
    assert len(host.ssm.sent) == 3


def test_a_full_disk_is_named_as_the_cause(host: Host) -> None:
    """aws/amazon-ssm-agent#90."""
    begun(host)
    host.ssm.answers["command-1"] = Invocation(
        command_id="command-1", instance_id=INSTANCE, status="Failed", detail="Failed", exit_code=1,
        stderr="Plugin with name aws:runShellScript not found. Step name: acquireMemory\n",
    )  # fmt: skip
    with pytest.raises(MemoryCaptureError, match="full or read-only") as error:
        capture(host).evaluate()
    assert "free space and inodes" in error.value.next_action


def test_a_step_that_was_skipped_for_a_full_disk_is_no_success(host: Host) -> None:
    """agent/framework/runpluginutil/runpluginutil.go: the command succeeds."""
    begun(host)
    host.ssm.answers["command-1"] = Invocation(
        command_id="command-1", instance_id=INSTANCE, status="Success", detail="Success", exit_code=0,
        stdout="Step execution skipped due to unsupported plugin: aws:runShellScript. Step name: acquireMemory\n",
    )  # fmt: skip
    with pytest.raises(MemoryCaptureError, match="full or read-only") as error:
        capture(host).evaluate()
    assert "free space and inodes" in error.value.next_action


@pytest.mark.parametrize("claimed", [2**50, 6 * 1024**3], ids=["160 TiB of zeros are 5 GiB as sent", "5 GiB too many"])
def test_an_image_larger_than_the_instance_types_memory_is_refused_before_anything_is_kept(
    host: Host, claimed: int
) -> None:
    """The type has 1 GiB: EC2 says so, whatever the host claims."""
    begun(host)
    host.ssm.answer("command-1", status_line(host.landed(PARTS), claimed, encoding="zstd"))
    with pytest.raises(
        EvidenceSizeError, match=f"says that its memory has {claimed} bytes; EC2 gives it 1024 MiB"
    ) as caught:
        capture(host).evaluate()
    assert not caught.value.retryable and state(host) is CaptureState.RUNNING
    give_up(host.recorder, str(caught.value))
    assert state(host) is CaptureState.FAILED and host.memory.reason == str(caught.value)


def test_parts_larger_than_the_instance_types_memory_are_refused_by_s3s_own_list(host: Host) -> None:
    begun(host)
    text = host.landed(PARTS)
    host.recorder.landing.uploads[f"{host.memory.origin.landing_prefix}/{IMAGE}"] = {1: 5 * 1024**3, 2: 4000}
    host.ssm.answer("command-1", status_line(text, 8000, encoding="zstd"))
    with pytest.raises(EvidenceSizeError, match="5368713120 bytes landed"):
        capture(host).evaluate()


def test_a_large_memory_gets_its_own_time_and_a_case_that_isolates_before_says_so() -> None:
    host = Host(ec2=Ec2OfTarget(1024 * 1024))
    host.recorder.put(case_keys.PLAN, plan())
    assert begun(host).seconds_left == 16_384.0
    assert host.memory.origin.budget_seconds == 16_384
    assert any("isolation cuts the capture off 3600 s after triage" in note for note in host.recorder.notes)
    change_origin(host, first_started=datetime.now(UTC) - timedelta(seconds=16_000), command_id=None)
    assert begun(host).seconds_left == pytest.approx(384, abs=30)
    change_origin(host, first_started=datetime.now(UTC) - timedelta(seconds=16_400), command_id=None)
    with pytest.raises(MemoryCaptureError, match="has used its 16384 s"):
        begun(host)
