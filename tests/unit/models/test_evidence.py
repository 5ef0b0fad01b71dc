"""Records of evidence: each becomes the model of its kind, those of earlier releases too, and nothing is lost on the way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from forensics.errors import StoredItemError
from forensics.models.evidence import (
    AccountStateEvidence,
    BlockManifest,
    CloudTrailEvidence,
    ControlPlaneEvidence,
    Digest,
    DiskEvidence,
    DiskOrigin,
    EvidenceKind,
    FlowLogEvidence,
    LiveResponseEvidence,
    LiveResponseOrigin,
    LogOrigin,
    MemoryEvidence,
    MemoryOrigin,
    Outcome,
    QueryLogEvidence,
    StoredFact,
    Transport,
    read_evidence,
)
from forensics.models.status_lines import CaptureStatus, LiveResponseStatus, ObjectClaim, Probe

CAPTURE = CaptureStatus(
    status="partial", bytes=4096, list_sha256="b" * 64, encoding="zstd", symbols={"btf": ObjectClaim(sha256="d" * 64), "iomem": None}
)  # fmt: skip
ITEMS = [
    FlowLogEvidence(evidence_id="flow-logs-i-1", outcome=Outcome.NOT_APPLICABLE, reason="there is none"),
    QueryLogEvidence(evidence_id="query-logs-i-1", outcome=Outcome.NOT_APPLICABLE, reason="there is none"),
    AccountStateEvidence(evidence_id="account-state-i-1", outcome=Outcome.PARTIAL, reason="IAM was not reached"),
    CloudTrailEvidence(
        evidence_id="cloud-trail-i-1",
        outcome=Outcome.ACQUIRED,
        origin=LogOrigin(
            source="s3", bucket="b", records=3, notes=("n",), sources=StoredFact(key="k", sha256="d" * 64, bytes=3)
        ),
    ),
    ControlPlaneEvidence(evidence_id="control-plane-i-1", outcome=Outcome.ACQUIRED, uri="s3://e/k"),
    MemoryEvidence(
        evidence_id="memory-i-1",
        outcome=Outcome.PARTIAL,
        digests=(Digest(value="a" * 64, subject="the byte stream as the target sent it", source="target"),),
        origin=MemoryOrigin(
            claims=CAPTURE,
            probe=Probe(kernel="6.1.0", kcore=True),
            methods=("avml", "kcore"),
            transport=Transport(encoding="zstd", parts=3, list_sha256="b" * 64),
            kernel_facts={"btf": StoredFact(key="k", sha256="d" * 64, bytes=3)},
        ),
        lock={"mode": "GOVERNANCE"},
    ),
    DiskEvidence(
        evidence_id="disk-vol-1",
        outcome=Outcome.FAILED,
        origin=DiskOrigin(volume_id="vol-1", block_manifest=BlockManifest(uri="s3://e/m", sha256="c" * 64, blocks=9)),
    ),
    LiveResponseEvidence(
        evidence_id="live-response-i-1",
        outcome=Outcome.ACQUIRED,
        origin=LiveResponseOrigin(
            claims=LiveResponseStatus(
                status="ok", bytes=9, sha256="e" * 64, items=3, process_images=0, depth="standard"
            )
        ),
    ),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.kind.value)
def test_a_record_is_read_back_as_it_was(item: Any) -> None:
    found = read_evidence(json.loads(item.model_dump_json()))
    assert type(found) is type(item) and found == item


# As an earlier release wrote them: claims are what the status line said, one key still has its old name.
OLD_MEMORY: dict[str, Any] = {
    "evidence_id": "memory-i-1",
    "kind": "memory",
    "outcome": "PENDING",
    "origin": {
        "landing_prefix": "p",
        "upload_id": "u",
        "command_id": "c",
        "fruitless": 2,
        "claims": {
            "bytes": 4096, "sha256": "", "list_sha256": "b" * 64, "parts": "many", "method": "avml", "encoding": "none",
            "tool_sha256": None, "kernel": ["odd"], "boot": None, "resumed_at": 1, "started": None, "ended": None,
            "symbols": {"btf": {"sha256": "d" * 64, "bytes": 12}, "kallsyms": None, "iomem": "odd"}, "status": "ok", "reason": None,
        },
    },
}  # fmt: skip
OLD_LIVE: dict[str, Any] = {
    "evidence_id": "live-response-i-1",
    "kind": "live-response",
    "outcome": "ACQUIRED",
    "origin": {
        "claims": {
            "status": "partial", "reason": "cut", "bytes": 9, "sha256": "e" * 64, "parts": None, "items": 3, "cut": 1,
            "left_out": 0, "process_images": 0, "depth": "standard", "started": "2026-11-24T03:06:00Z", "ended": None,
        }
    },
}  # fmt: skip


def test_a_memory_record_of_an_earlier_release_is_read() -> None:
    found = read_evidence(OLD_MEMORY)
    assert isinstance(found, MemoryEvidence)
    claims = found.origin.claims
    assert claims is not None and (claims.bytes, claims.method, claims.resumed_at) == (4096, "avml", 1)
    assert (claims.parts, claims.kernel, claims.started) == (None, "['odd']", "")
    assert claims.symbols == {"btf": ObjectClaim(sha256="d" * 64, bytes=12), "kallsyms": None, "iomem": None}
    assert found.origin.attempts_without_data == 2


def test_a_live_response_record_of_an_earlier_release_is_read() -> None:
    found = read_evidence(OLD_LIVE)
    assert isinstance(found, LiveResponseEvidence)
    claims = found.origin.claims
    assert claims is not None and (claims.status, claims.reason, claims.items, claims.cut) == ("partial", "cut", 3, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {**OLD_MEMORY, "kind": "usb"},
        {**OLD_MEMORY, "evidence_id": "Memory!"},
        {**OLD_MEMORY, "origin": {"first_part": "one"}},
        {**OLD_LIVE, "origin": {"claims": {"status": "ok"}}},
    ],
)
def test_a_record_that_is_not_of_its_kind_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(StoredItemError, match="cannot be read by this release"):
        read_evidence(wrong)


def test_what_is_stated_leaves_out_what_is_not_known() -> None:
    origin = MemoryOrigin(upload_id="u", command_id="c", methods=("avml",), claims=CAPTURE)
    stated = origin.stated(without=frozenset({"upload_id", "claims"}))
    assert stated["command_id"] == "c" and stated["methods"] == ["avml"]
    assert not {"upload_id", "claims", "document", "no_resume"} & set(stated)


def test_each_kind_has_a_model() -> None:
    assert {item.kind for item in ITEMS} == set(EvidenceKind)
