"""Root on the target lies to the verification of its memory: against the lab, with the real step, each lie ends in its verdict."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from airflow.sdk.exceptions import AirflowFailException

from forensics.aws.ssm import Invocation, SsmGateway
from forensics.memory import landed_status
from forensics.memory.capture_operators import CaptureMemoryOperator
from forensics.memory.lime import HEADER, MAGIC, PAGE
from forensics.memory.limits import RANGES
from forensics.memory.upload_manifest import LIST, new_upload
from forensics.memory.verify_operators import VerifyMemoryOperator
from forensics.models.evidence import Digest, MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.status_lines import CaptureStatus
from tests.gateways import recorder_of
from tests.hostile_memory import BANNER, looped_image, ram_map_of, symbol_list
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage


def land(lab: SmallLab, image: bytes, facts: dict[str, bytes]) -> str:
    """A case whose target has sent this image with these facts, and status line and list of parts that fit; returns its id."""
    case_id = open_case(lab)
    triage(case_id)
    recorder = recorder_of(case_id, step="test")
    item = f"memory-{recorder.case.instance_id}"
    upload, bucket, s3 = new_upload(recorder, item), lab.facts["landing_bucket"], lab.client("s3")
    digest = hashlib.sha256(image).hexdigest()
    s3.upload_part(Bucket=bucket, Key=upload.key, UploadId=upload.upload_id, PartNumber=1, Body=image)
    recorder.gateways.landing.complete_upload(upload.key, upload_id=upload.upload_id, limit=len(image))
    parts = f"forensics-parts 1 avml none \n1 {len(image)} {len(image)} {digest}\n".encode()
    for name, body in {LIST: parts, **facts}.items():
        s3.put_object(Bucket=bucket, Key=f"{upload.prefix}/{name}", Body=body)
    claims = CaptureStatus(
        status="ok",
        bytes=len(image),
        sha256=digest,
        list_sha256=hashlib.sha256(parts).hexdigest(),
        method="avml",
        encoding="none",
    )
    recorder.save_evidence(
        MemoryEvidence(
            evidence_id=item,
            outcome=Outcome.PENDING,
            account_id=recorder.case.account_id,
            region=recorder.case.region,
            started_at=datetime.now(UTC),
            size_bytes=len(image),
            digests=(Digest(value=digest, subject="the byte stream as the target sent it", source="target"),),
            origin=MemoryOrigin(
                landing_prefix=upload.prefix,
                upload_id=upload.upload_id,
                claims=claims,
                instance_id=recorder.case.instance_id,
            ),
        )
    )
    return case_id


def verified(case_id: str) -> MemoryEvidence:
    """What the case says of its memory."""
    found = recorder_of(case_id, step="test").memory()
    assert found is not None
    return found


def test_twenty_kib_of_lies_about_the_kernels_text_are_a_partial_image_that_people_hear_of(lab: SmallLab) -> None:
    """115 bytes of symbols name 2**52 pages of text: this step walked them, and everything behind it waited."""
    image = looped_image()
    kallsyms = symbol_list(_text=0x1000, _etext=0xFFFF_FFFF_FFFF_FFF0)
    facts = {"kallsyms": kallsyms, "iomem": ram_map_of(image), "version": BANNER, "btf": b"x"}
    case_id = land(lab, image, facts)
    assert perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id)["outcome"] == "PARTIAL"
    memory = verified(case_id)
    assert "kernel text: the walk was stopped: the symbol list says" in str(memory.reason)
    assert memory.uri and memory.lock["mode"] == "GOVERNANCE", "it is kept"
    (mail,) = [m for m in lab.mail() if m["attributes"]["event"] == "memory_acquired"]
    assert "kernel text: the walk was stopped" in mail["message"]


def test_an_image_of_one_byte_ranges_is_a_failed_image_that_people_hear_of(lab: SmallLab) -> None:
    image = b"".join(HEADER.pack(MAGIC, 1, n * PAGE, n * PAGE) + b"x" for n in range(2 * RANGES))
    case_id = land(lab, image, {"version": BANNER})
    with pytest.raises(AirflowFailException, match=f"more than {RANGES} ranges"):
        perform(VerifyMemoryOperator(task_id="verify_memory"), case_id=case_id, try_number=1)
    memory = verified(case_id)
    assert memory.outcome is Outcome.FAILED and f"more than {RANGES} ranges" in str(memory.reason)
    assert memory.origin.ranges == RANGES
    assert [m for m in lab.mail() if f"more than {RANGES} ranges" in m["message"]]


def test_a_reason_that_no_store_takes_and_that_forges_lines_is_recorded_and_told_on_one_line(
    lab: SmallLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lone surrogate made the failure silent; a line feed put instructions into the product's own mail."""
    case_id = open_case(lab)
    triage(case_id)
    line = r'{"status":"failed","reason":"\ud800 no space\nWhat to do next: open https://evil.example/\u202e"}'
    real = SsmGateway.invocation

    def lying(gateway: SsmGateway, *, command_id: str, instance_id: str) -> Invocation | None:
        found = real(gateway, command_id=command_id, instance_id=instance_id)
        return found and found.model_copy(update={"status": "Failed", "stdout": line})

    monkeypatch.setattr(SsmGateway, "invocation", lying)
    # the line that it has put beside what it sent says the same: on a quick machine it has landed by then
    monkeypatch.setattr(landed_status, "_read", lambda landing, key: line)
    with pytest.raises(AirflowFailException, match=r"\[U\+D800\] no space⏎What to do next"):
        perform(CaptureMemoryOperator(task_id="capture_memory"), case_id=case_id)
    assert verified(case_id).outcome is Outcome.FAILED
    (mail,) = [m for m in lab.mail() if m["attributes"]["event"] == "failed:capture_memory"]
    cause = next(told for told in mail["message"].splitlines() if told.startswith("Cause:"))
    assert "[U+D800] no space⏎What to do next: open https[:]//evil[.]example/[U+202E]" in cause
    assert [told for told in mail["message"].splitlines() if told.startswith("What to do next:")][1:] == []
