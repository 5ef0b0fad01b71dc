"""One command of a capture: what is recorded before it is sent, what it is given, what a later one continues from."""

from __future__ import annotations

from typing import Any

import pytest

from forensics import document_registry
from forensics.memory.capture_command import command_comment, record_touch, send_command
from forensics.memory.capture_setup import capture_setup
from forensics.memory.capture_state import CaptureEvent, CaptureState, advance, state_of
from forensics.memory.upload_manifest import IMAGE
from forensics.models.custody import CustodyAction
from forensics.models.evidence import MemoryEvidence, Outcome
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION, target
from tests.unit.memory.target import Host, settings

ITEM = f"memory-{INSTANCE}"


class Killed(BaseException):
    """What a lost process looks like from inside: nothing after it runs."""


@pytest.fixture
def host() -> Host:
    made = Host()
    made.probed()
    return made


def send(host: Host, known: MemoryEvidence | None = None, *, seconds: float = 1800.0, **changes: Any) -> str:
    chosen = settings(**changes)
    setup = capture_setup(host.recorder, host.gateways, chosen, target())
    return send_command(
        host.recorder, host.gateways, chosen, target=target(), known=known, setup=setup, seconds=seconds
    )


def test_the_command_is_given_the_manifest_and_the_time_that_is_left(host: Host) -> None:
    assert send(host) == "command-1"
    (sent,) = host.ssm.sent
    prefix = host.memory.origin.landing_prefix
    assert sent.document == "forensics-acquire_memory_linux"
    assert sent.parameters == {
        "CaseId": CASE_ID,
        "EvidenceId": ITEM,
        "ManifestUrl": f"https://landing.invalid/{prefix}/manifest.txt",
        "ExecutionTimeout": "1800",
    }
    assert (sent.comment, sent.timeout_seconds) == (f"{CASE_ID} {ITEM}", 1800)
    assert command_comment(host.recorder) == sent.comment


def test_a_command_gets_at_least_a_minute(host: Host) -> None:
    send(host, seconds=3.0)
    assert host.ssm.sent[0].parameters["ExecutionTimeout"] == "60"


def test_the_item_says_how_the_image_is_taken(host: Host) -> None:
    send(host)
    memory, document = host.memory, document_registry.choose("acquire_memory", platform="linux")
    origin = memory.origin
    assert (memory.outcome, memory.account_id, memory.region) == (Outcome.PENDING, ACCOUNT, REGION)
    assert (origin.command_id, origin.document_version, origin.document_sha256) == ("command-1", "7", document.sha256)
    assert (origin.methods, origin.tool_sha256, origin.first_part) == (("avml", "kcore"), "a" * 64, 1)
    assert origin.first_started == memory.started_at
    assert str(origin.why).startswith("memory method: avml, then kcore; not lime: ")
    assert origin.probe is not None and origin.probe.kernel == "6.1.0-test"


def test_the_ledger_states_the_touch_without_what_opens_the_upload(host: Host) -> None:
    send(host)
    detail = host.recorder.ledger.last(CustodyAction.HOST_TOUCHED).detail
    assert detail["command_id"] == "command-1" and detail["instance_id"] == INSTANCE
    assert not {"upload_id", "claims", "probe"} & set(detail)
    record_touch(host.recorder, host.memory)
    assert host.recorder.ledger.actions() == [CustodyAction.HOST_TOUCHED]


def test_the_upload_is_recorded_before_the_command_is_sent(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(**_: Any) -> str:
        raise Killed

    monkeypatch.setattr(host.ssm, "send", killed)
    with pytest.raises(Killed):
        send(host)
    memory = host.memory
    assert state_of(memory) is CaptureState.PREPARED
    assert memory.origin.upload_id == f"upload-of-{memory.origin.landing_prefix}/{IMAGE}"


def test_the_next_command_continues_behind_what_landed(host: Host) -> None:
    send(host)
    host.landed([b"a" * 10, b"b" * 20, b"c" * 5], listed=2)
    first = host.recorder.save_evidence(
        advance(host.memory, CaptureEvent.INTERRUPT, origin={"attempts_without_data": 2})
    )
    assert send(host, first) == "command-2"
    memory = host.memory
    assert memory.origin.landing_prefix == first.origin.landing_prefix
    assert (memory.origin.first_part, memory.origin.attempt_failed) == (3, False)
    assert memory.origin.attempts_without_data == 2
    assert (memory.started_at, memory.origin.first_started) == (first.started_at, first.origin.first_started)
    assert host.recorder.landing.revoked == [first.origin.landing_prefix]
    assert host.recorder.landing.aborted == []
    assert "(command command-2, resumes at part 3)" in "\n".join(host.recorder.notes)


def test_what_cannot_be_resumed_is_aborted_and_begun_anew(host: Host) -> None:
    send(host)
    first = host.recorder.save_evidence(advance(host.memory, CaptureEvent.INTERRUPT))
    send(host, first)
    memory = host.memory
    assert memory.origin.landing_prefix != first.origin.landing_prefix
    assert memory.origin.first_part == 1
    assert memory.origin.first_started == first.origin.first_started, "the time that all attempts share goes on"
    assert memory.started_at != first.started_at
    assert host.recorder.landing.aborted == [f"{first.origin.landing_prefix}/{IMAGE}"]
    assert "memory capture starts from the beginning: no part of the earlier attempt is in S3" in host.recorder.notes


def test_after_a_final_failure_a_cleared_task_counts_from_the_beginning(host: Host) -> None:
    send(host)
    failed = host.memory.model_copy(
        update={
            "outcome": Outcome.FAILED,
            "origin": host.memory.origin.model_copy(update={"attempts_without_data": 3}),
        }
    )
    send(host, failed)
    assert host.memory.origin.attempts_without_data == 0
    assert host.memory.origin.first_started == host.memory.started_at != failed.started_at
