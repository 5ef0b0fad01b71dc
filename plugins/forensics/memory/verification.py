"""Verification of a landed memory image: hash every part, validate the image, and write it to the evidence store."""

from __future__ import annotations

from dataclasses import dataclass, field

from forensics.aws.s3 import StoredObject
from forensics.case.adoption import record_stored
from forensics.case.recorder import CaseRecorder
from forensics.errors import DigestMismatchError, EvidenceTransferError, MemoryCaptureError
from forensics.memory.capture_state import CaptureEvent, CaptureStateError, advance, allows, state_of
from forensics.memory.image_validation import CheckResult
from forensics.memory.judging import ImageJudge, ImageJudgement, ImageOrder
from forensics.memory.limits import FACTS
from forensics.memory.method import Method
from forensics.memory.parts import LIST_LIMIT, PartList, checked, parse_part_list
from forensics.memory.upload_manifest import IMAGE, KERNEL_FACTS, LIST, OPTIONAL_FACTS
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, EvidenceKind, MemoryEvidence, Outcome, StoredFact, Transport
from forensics.models.status_lines import CaptureStatus, Probe
from forensics.naming import evidence_key

_VALIDATED = frozenset({"version", "iomem", "kallsyms"})
# What is handed from S3 to the confined child at once: it is held a few times over on its way.
_PIECE = 2 * 1024 * 1024
_EVENTS = {
    Outcome.ACQUIRED: CaptureEvent.PASS,
    Outcome.PARTIAL: CaptureEvent.QUALIFY,
    Outcome.FAILED: CaptureEvent.REJECT,
}


@dataclass(frozen=True)
class KernelFacts:
    """Kernel facts in the evidence store, their bytes for the validation, and the names of those that are missing.

    ``refused``: why some that landed are not stored.
    """

    stored: dict[str, StoredFact] = field(default_factory=dict)
    bodies: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ImageRead:
    """What was read of the image: its parts, the kernel facts beside it, what the judgement found."""

    parts: PartList
    facts: KernelFacts
    judgement: ImageJudgement


class MemoryVerification:
    """Verifies the landed image of one case. Safe to repeat: what is in the evidence store already stays as it is."""

    def __init__(self, recorder: CaseRecorder, evidence: MemoryEvidence) -> None:
        if evidence.origin.claims is None:
            msg = f"{evidence.evidence_id} has no landed image"
            raise CaptureStateError(msg, next_action="clear memory.capture_memory")
        self._recorder = recorder
        self._evidence = evidence
        self._claims: CaptureStatus = evidence.origin.claims
        self._prefix = str(evidence.origin.landing_prefix)

    def run(self) -> MemoryEvidence:
        """Verify and record; raises :class:`MemoryCaptureError` for an image that is recorded and kept, but unusable."""
        parts = self._part_list()
        facts = self._kernel_facts()
        evidence_store, key = self._recorder.gateways.evidence, self._key(IMAGE)
        landed = self._recorder.gateways.landing.stream(f"{self._prefix}/{IMAGE}", chunk=_PIECE)
        with ImageJudge(_order(self._evidence, parts, facts)) as judge:
            stored = evidence_store.put_stream(key, judge.unfold(checked(landed, parts.parts)))
            record_stored(self._recorder, stored, evidence_id=self._evidence.evidence_id)
            self._compare(stored)
            found = judge.judgement(
                facts=facts.bodies,
                read_at=lambda offset, size: evidence_store.read_range(key, offset=offset, size=size),
            )
        report = found.report
        verified = _verified(self._evidence, stored, ImageRead(parts, facts, found))
        self._record(verified, report.problems)
        if report.outcome is Outcome.FAILED:
            error = MemoryCaptureError(
                f"the memory image is not usable: {'; '.join(report.problems)}",
                next_action="it is kept and locked; clear memory.capture_memory for another",
            )
            error.retryable = False
            raise error
        return verified

    def _key(self, name: str) -> str:
        item, attempt = self._evidence.evidence_id, self._prefix.rsplit("/", 1)[1]
        return evidence_key(self._recorder.case_id, EvidenceKind.MEMORY, item=item, name=f"{attempt}/{name}")

    def _part_list(self) -> PartList:
        gateways = self._recorder.gateways
        found = parse_part_list(gateways.landing.read(f"{self._prefix}/{LIST}", limit=LIST_LIMIT))
        if found.sha256 != self._claims.list_sha256:
            msg = f"{self._evidence.evidence_id}: the list of parts has SHA-256 {found.sha256}, the target reports {self._claims.list_sha256}"
            raise DigestMismatchError(msg)
        stored = gateways.evidence.put(self._key(LIST), found.text, content_type="text/plain")
        record_stored(self._recorder, stored, evidence_id=self._evidence.evidence_id)
        return found

    def _compare(self, stored: StoredObject) -> None:
        item, expected = self._evidence.evidence_id, self._evidence.size_bytes
        if self._claims.sha256 and stored.sha256 != self._claims.sha256:
            msg = f"{item}: the stored object's SHA-256 is {stored.sha256}, the target reports {self._claims.sha256}"
            raise DigestMismatchError(msg)
        if stored.size_bytes != expected:
            msg = f"{item}: {stored.size_bytes} bytes were stored, the target read {expected}"
            raise EvidenceTransferError(msg, next_action="clear memory.capture_memory to capture again")

    def _kernel_facts(self) -> KernelFacts:
        """Store what validation and investigation need: BTF, symbol addresses, banner, RAM map, note for crash dumps."""
        facts, gateways = KernelFacts(), self._recorder.gateways
        for name in KERNEL_FACTS:
            size, limit = gateways.landing.size(f"{self._prefix}/{name}") or 0, FACTS[name]
            if not 0 < size <= limit:
                if size or name not in OPTIONAL_FACTS:
                    facts.missing.append(name)
                if size:
                    facts.refused.append(f"{name} has {size} bytes, more than {limit} are not read")
                continue
            body = gateways.landing.read(f"{self._prefix}/{name}", limit=limit)
            key = self._key(name)
            stored = gateways.evidence.put(key, body)
            record_stored(self._recorder, stored, evidence_id=self._evidence.evidence_id)
            claim = self._claims.symbols.get(name)
            if claim and claim.sha256 and claim.sha256 != stored.sha256:
                msg = f"{self._evidence.evidence_id}: kernel fact {name} has SHA-256 {stored.sha256}, the target reports {claim.sha256}"
                raise DigestMismatchError(msg)
            facts.stored[name] = StoredFact(key=key, sha256=stored.sha256, bytes=stored.size_bytes)
            if name in _VALIDATED:
                facts.bodies[name] = body
        return facts

    # ------------------------------------------------------------------ recording
    def _record(self, evidence: MemoryEvidence, problems: list[str]) -> None:
        # The state last: with it the step is done, and a try that died before it says everything again, each of it once.
        recorder, item, attempt = self._recorder, evidence.evidence_id, evidence.origin.landing_prefix
        recorder.custody(
            CustodyAction.EVIDENCE_ACQUIRED,
            evidence_id=item,
            once=f"acquired-{attempt}",
            detail={
                "uri": evidence.uri,
                "version_id": evidence.version_id,
                "bytes": evidence.size_bytes,
                "sha256": evidence.digests[-1].value,
                "outcome": evidence.outcome.value,
                "problems": problems,
            },
        )
        recorder.custody(
            CustodyAction.EVIDENCE_LOCKED, evidence_id=item, detail=dict(evidence.lock), once=f"locked-{attempt}"
        )
        recorder.sign_ledger("memory")
        self._notify(evidence, problems)
        recorder.save_evidence(evidence)

    def _notify(self, evidence: MemoryEvidence, problems: list[str]) -> None:
        recorder, item, sha256 = self._recorder, evidence.evidence_id, evidence.digests[-1].value
        passed = evidence.outcome is Outcome.ACQUIRED
        what = "memory acquired: every part and the stored object hashed, every check of the image passed"
        recorder.note(
            what if passed else f"memory is {evidence.outcome.value}: {'; '.join(problems)}",
            kind=TimelineKind.EVIDENCE,
            evidence_id=item,
        )
        if evidence.outcome is Outcome.FAILED:
            return  # the step's failure is announced instead
        recorder.announce(
            "memory_acquired",
            "Memory acquired" if passed else "Memory acquired, PARTIAL",
            lines=[f"{evidence.size_bytes} bytes, SHA-256 {sha256}", f"Stored at {evidence.uri}", *problems],
            facts={"evidence_id": item, "uri": evidence.uri, "sha256": sha256},
            routine=passed,
        )


def reject(recorder: CaseRecorder, cause: str) -> None:
    """Record in the memory item that the verification of its image failed; without an image nothing changes."""
    evidence = recorder.memory()
    if evidence and allows(state_of(evidence), CaptureEvent.REJECT):
        recorder.fail_evidence(evidence, reason=cause)


def _order(evidence: MemoryEvidence, parts: PartList, facts: KernelFacts) -> ImageOrder:
    """What the image is compared with; the probe's banner was read before the capture and goes first."""
    probe = evidence.origin.probe or Probe()
    version = facts.bodies.get("version", b"").decode("utf-8", "replace")
    return ImageOrder(
        raw=parts.method == Method.WINPMEM.value,
        encoding=parts.encoding,
        limit=int(evidence.size_bytes or 0),
        banner=probe.banner or version or None,
        architecture=probe.architecture or "x86_64",
        memory_bytes=probe.memory_kib * 1024,
        refused=tuple(facts.refused),
    )


def _verified(evidence: MemoryEvidence, stored: StoredObject, read: ImageRead) -> MemoryEvidence:
    """The item after verification: in the state that the report's outcome stands for."""
    parts, found, report = read.parts, read.judgement, read.judgement.report
    return advance(
        evidence,
        _EVENTS[report.outcome],
        reason="; ".join(report.problems)[:1000] or None,
        uri=stored.uri,
        version_id=stored.version_id,
        size_bytes=stored.size_bytes,
        digests=(
            *evidence.digests[:1],
            Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane"),
        ),
        lock={"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
        origin={
            "format": "raw" if parts.method == Method.WINPMEM.value else "LiME v1",
            "method": parts.method,
            "transport": Transport(encoding=parts.encoding, parts=len(parts.parts), list_sha256=parts.sha256),
            "ranges": found.ranges,
            "zero_share": found.zero_share,
            "kernel_banner": found.banner,
            "kernel_facts": read.facts.stored,
            "kernel_facts_missing": tuple(read.facts.missing),
            "checks": tuple(f"{c.name}: {c.result.value}, {c.found}" for c in report.checks),
            "checks_passed": all(c.result is CheckResult.PASSED for c in report.checks),
        },
    )
