"""Verification: the landed image becomes evidence with the outcome of its checks, or it is refused with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import zstandard

from forensics.errors import DigestMismatchError, EvidenceTransferError, MemoryCaptureError
from forensics.memory.capture import MemoryCapture
from forensics.memory.capture_state import CaptureState, CaptureStateError, state_of
from forensics.memory.limits import FACTS
from forensics.memory.upload_manifest import IMAGE, LIST
from forensics.memory.verification import MemoryVerification, reject
from forensics.models.custody import CustodyAction
from forensics.models.evidence import MemoryEvidence, Outcome
from tests.memory_image import BANNER, MIB, SmallMemory, small_memory
from tests.unit.builders import CASE_ID, INSTANCE, target
from tests.unit.memory.target import Host, settings, status_line

ITEM = f"memory-{INSTANCE}"
MADE = small_memory(10 * MIB)
HALVES = [MADE.image[: 5 * MIB], MADE.image[5 * MIB :]]


def landed(
    made: SmallMemory = MADE, bodies: list[bytes] | None = None, *, head: str = "avml none 8589f2d9", **claims: Any
) -> Host:
    """A case whose target has uploaded an image (default: in two parts) and its kernel facts."""
    host = Host()
    host.probed(banner=made.banner.decode().strip(), memory_kib=10 * 1024)
    host.recorder.step = "memory.verify_memory"
    capture = MemoryCapture(host.recorder, host.gateways, settings())
    capture.begin(target())
    sent = bodies or [made.image[: 5 * MIB], made.image[5 * MIB :]]
    text = host.landed(sent, head=head)
    prefix = host.memory.origin.landing_prefix
    for name, body in {"kallsyms": made.kallsyms, "version": made.banner, "iomem": made.iomem, "btf": b""}.items():
        host.recorder.landing.objects[f"{prefix}/{name}"] = body
    whole = hashlib.sha256(made.image).hexdigest()
    host.ssm.answer("command-1", status_line(text, len(made.image), **{"sha256": whole, **claims}))
    capture.evaluate()
    return host


def verify(host: Host) -> MemoryEvidence:
    return MemoryVerification(host.recorder, host.memory).run()


def stored(host: Host, name: str) -> bytes:
    """An object of the evidence store."""
    attempt = str(host.memory.origin.landing_prefix).rsplit("/", 1)[1]
    return host.recorder.evidence_store.objects[f"cases/{CASE_ID}/evidence/memory/{ITEM}/{attempt}/{name}"]


def test_a_clean_image_is_acquired_locked_and_announced() -> None:
    host = landed()
    verified = verify(host)
    digest = hashlib.sha256(MADE.image).hexdigest()
    assert verified == host.memory and state_of(verified) is CaptureState.VERIFIED
    assert (verified.size_bytes, verified.reason) == (len(MADE.image), None)
    assert [(d.value, d.source) for d in verified.digests] == [(digest, "target"), (digest, "control-plane")]
    assert verified.lock == {"mode": "GOVERNANCE", "until": "2027-11-24T00:00:00+00:00"}
    origin = verified.origin
    assert (origin.format, origin.method, origin.ranges, origin.checks_passed) == ("LiME v1", "avml", 1, True)
    assert origin.transport is not None and (origin.transport.parts, origin.transport.encoding) == (2, "none")
    assert origin.kernel_banner == BANNER.decode().strip()
    assert len(origin.checks) == 7 and all(": passed, " in check for check in origin.checks)
    assert (set(origin.kernel_facts), origin.kernel_facts_missing) == ({"kallsyms", "version", "iomem"}, ("btf",))
    assert stored(host, IMAGE) == MADE.image and stored(host, "iomem") == MADE.iomem
    assert host.recorder.ledger.actions()[-2:] == [CustodyAction.EVIDENCE_ACQUIRED, CustodyAction.EVIDENCE_LOCKED]
    assert host.recorder.ledger.last(CustodyAction.EVIDENCE_ACQUIRED).detail["problems"] == []
    assert host.recorder.ledger.signed == ["memory"]
    assert [m.event for m in host.recorder.mailbox.mail] == ["memory_acquired"]


def test_a_compressed_image_is_stored_as_it_was_in_memory() -> None:
    compressor = zstandard.ZstdCompressor()
    bodies = [compressor.compress(half) for half in HALVES]
    host = Host()
    host.probed(banner=MADE.banner.decode().strip())
    capture = MemoryCapture(host.recorder, host.gateways, settings())
    capture.begin(target())
    prefix = str(host.memory.origin.landing_prefix)
    host.landed(bodies)
    lines, end = ["forensics-parts 1 avml zstd 8589f2d9"], 0
    for number, (half, body) in enumerate(zip(HALVES, bodies, strict=True), start=1):
        end += len(half)
        lines.append(f"{number} {end} {len(body)} {hashlib.sha256(body).hexdigest()}")
    text = ("\n".join(lines) + "\n").encode()
    host.recorder.landing.objects[f"{prefix}/{LIST}"] = text
    host.ssm.answer("command-1", status_line(text, len(MADE.image), encoding="zstd"))
    capture.evaluate()
    verified = verify(host)
    assert stored(host, IMAGE) == MADE.image
    assert verified.origin.transport is not None and verified.origin.transport.encoding == "zstd"
    assert verified.outcome is Outcome.PARTIAL, "without the kernel's facts not every check can pass"


def test_an_image_that_misses_a_check_is_partial_and_says_so_to_people() -> None:
    host = landed()
    prefix = host.memory.origin.landing_prefix
    del host.recorder.landing.objects[f"{prefix}/iomem"]
    verified = verify(host)
    assert state_of(verified) is CaptureState.PARTIAL_IMAGE
    assert str(verified.reason).startswith("RAM map: the target gave no RAM map")
    assert verified.origin.checks_passed is False
    (mail,) = host.recorder.mailbox.mail
    assert "Memory acquired, PARTIAL" in mail.subject
    assert any(line.startswith("RAM map: ") for line in mail.lines)


def test_the_note_for_crash_dumps_is_kept_where_it_came_and_not_missed_where_it_did_not() -> None:
    host = landed()
    assert "vmcoreinfo" not in verify(host).origin.kernel_facts_missing
    host = landed()
    note = b"OSRELEASE=6.1.0-test\nPAGESIZE=4096\n"
    host.recorder.landing.objects[f"{host.memory.origin.landing_prefix}/vmcoreinfo"] = note
    verified = verify(host)
    assert verified.outcome is Outcome.ACQUIRED
    assert verified.origin.kernel_facts["vmcoreinfo"].sha256 == hashlib.sha256(note).hexdigest()


def test_an_unusable_image_is_recorded_and_kept_but_the_step_fails() -> None:
    other = small_memory(10 * MIB, seed=3, banner=BANNER.replace(b"6.1.0-test", b"5.4.0-foreign"))
    host = landed(other)
    host.probed(banner=MADE.banner.decode().strip())
    known = host.memory
    probe = known.origin.probe
    assert probe is not None
    changed = probe.model_copy(update={"banner": MADE.banner.decode().strip()})
    host.recorder.save_evidence(known.model_copy(update={"origin": known.origin.model_copy(update={"probe": changed})}))
    with pytest.raises(MemoryCaptureError, match="not usable: kernel banner: the image holds another kernel") as error:
        verify(host)
    assert not error.value.retryable
    assert state_of(host.memory) is CaptureState.IMAGE_FAILED
    assert str(host.memory.uri).endswith(IMAGE) and host.recorder.mailbox.mail == []


def test_a_part_that_changed_on_its_way_is_named() -> None:
    host = landed()
    prefix = host.memory.origin.landing_prefix
    body = bytearray(MADE.image)
    body[6 * MIB] ^= 1
    host.recorder.landing.objects[f"{prefix}/{IMAGE}"] = bytes(body)
    with pytest.raises(DigestMismatchError, match="part 2 landed with SHA-256"):
        verify(host)
    assert state_of(host.memory) is CaptureState.LANDED


def test_another_list_of_parts_than_the_target_hashed_is_refused() -> None:
    host = landed()
    host.landed(HALVES, head="avml none 0000")
    with pytest.raises(DigestMismatchError, match="the list of parts has SHA-256"):
        verify(host)


def test_another_stream_than_the_target_hashed_is_refused() -> None:
    host = landed(sha256="0" * 64)
    with pytest.raises(DigestMismatchError, match=r"the stored object's SHA-256 is .*, the target reports 0000"):
        verify(host)
    named = host.recorder.ledger.last(CustodyAction.OBJECT_STORED).detail
    assert str(named["uri"]).endswith("/memory.lime") and named["lock"], (
        "it is locked: the ledger says that it is there"
    )


def test_an_image_of_another_size_than_was_read_is_refused() -> None:
    host = landed()
    host.recorder.save_evidence(host.memory.model_copy(update={"size_bytes": len(MADE.image) + 1}))
    with pytest.raises(EvidenceTransferError, match=f"{len(MADE.image)} bytes were stored, the target read"):
        verify(host)


def test_a_kernel_fact_that_changed_on_its_way_is_named() -> None:
    claims = {"symbols": {"iomem": {"sha256": "0" * 64, "bytes": 1}, "version": None}}
    with pytest.raises(DigestMismatchError, match="kernel fact iomem has SHA-256"):
        verify(landed(**claims))


def test_verification_can_be_repeated() -> None:
    host = landed()
    del host.recorder.landing.objects[f"{host.memory.origin.landing_prefix}/iomem"]
    first = verify(host)
    assert verify(host) == first
    actions = host.recorder.ledger.actions()
    assert actions.count(CustodyAction.EVIDENCE_ACQUIRED) == actions.count(CustodyAction.EVIDENCE_LOCKED) == 1


def test_without_a_landed_image_there_is_nothing_to_verify() -> None:
    with pytest.raises(CaptureStateError, match=f"{ITEM} has no landed image"):
        MemoryVerification(Host().recorder, MemoryEvidence(evidence_id=ITEM, outcome=Outcome.PENDING))


def test_a_rejected_image_records_the_cause() -> None:
    host = landed()
    reject(host.recorder, "the list of parts differs")
    assert state_of(host.memory) is CaptureState.IMAGE_FAILED
    assert host.memory.reason == "the list of parts differs"


def test_where_no_image_landed_a_rejection_changes_nothing() -> None:
    host = Host()
    reject(host.recorder, "no image")
    assert host.recorder.memory() is None
    known = host.recorder.save_evidence(
        MemoryEvidence(evidence_id=ITEM, outcome=Outcome.NOT_APPLICABLE, reason="the kernel is locked down")
    )
    reject(host.recorder, "no image")
    assert host.memory == known


def test_a_kernel_fact_that_is_larger_than_any_real_one_is_not_read_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    host = landed()
    host.recorder.landing.objects[f"{host.memory.origin.landing_prefix}/iomem"] = bytes(FACTS["iomem"] + 1)
    monkeypatch.setattr(host.recorder.landing, "read", reading_all_but(host, "iomem"))
    verified = verify(host)
    assert verified.outcome is Outcome.PARTIAL
    assert "kernel facts: iomem has 1048577 bytes, more than 1048576 are not read" in str(verified.reason)
    assert verified.origin.kernel_facts_missing == ("btf", "iomem")
    (mail,) = host.recorder.mailbox.mail
    assert "Memory acquired, PARTIAL" in mail.subject


def reading_all_but(host: Host, name: str) -> Callable[..., bytes]:
    """The landing bucket, of which one object must not be read."""

    def read(key: str, *, limit: int) -> bytes:
        assert not key.endswith(f"/{name}")
        return host.recorder.landing.objects[key]

    return read
