"""Memory: verify what landed, judge whether it is usable, and write it to the evidence store (seed step 6, memory flow)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from airflow.sdk import Context

from forensics.aws.s3 import StoredObject
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import DigestMismatchError, EvidenceTransferError, MemoryCaptureError
from forensics.manifest import MIB
from forensics.memory.image_validation import Claims, Grade, Mark, grade
from forensics.memory.lime import LimeWalker
from forensics.memory.method import Method
from forensics.memory.parts import LIST_LIMIT, PartList, checked, decoded, parse
from forensics.memory.upload_manifest import IMAGE, KERNEL_FACTS, LIST
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, EvidenceKind, MemoryEvidence, Outcome, StoredFact, Transport
from forensics.models.status_lines import CaptureStatus, Probe
from forensics.naming import evidence_id, evidence_key

FACT_LIMIT = 64 * MIB


@dataclass(frozen=True)
class Facts:
    """Kernel facts in the evidence store, their bytes for the gate, and the names of those that are missing."""

    stored: dict[str, StoredFact]
    bodies: dict[str, bytes]
    missing: list[str]


class VerifyMemoryOperator(ForensicOperator):
    """Read what landed, hash it, judge it, and write it to the evidence store under lock.

    The target's own digests are claims: every part's, and the whole stream's where one command has seen all of it. The
    stored object's digest is computed here, from the bytes of the parts that agreed.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Promote the landed image to evidence."""
        item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
        evidence = recorder.memory()
        claims = evidence.origin.claims if evidence else None
        if evidence is None or claims is None:
            msg = "no memory image has landed"
            raise MemoryCaptureError(msg, next_action="clear memory.capture_memory")
        if evidence.outcome is Outcome.ACQUIRED:
            return {"evidence_id": item, "already": True}
        parts = self._parts(recorder, evidence, claims)
        facts = self._facts(recorder, evidence, claims)
        walker = LimeWalker(raw=parts.method == Method.WINPMEM.value)
        key = _key(recorder, evidence, IMAGE)
        stored = recorder.gateways.evidence.put_stream(
            key, self._image(recorder, evidence, parts), on_chunk=walker.feed
        )
        self._agree(evidence, stored, claims)
        verdict = grade(
            walker,
            claims=_claims(evidence, facts),
            read_at=lambda offset, size: recorder.gateways.evidence.read_range(key, offset=offset, size=size),
        )
        verified = _verified(evidence, stored, parts=parts, facts=facts, walker=walker, verdict=verdict)
        self._record(recorder, verified, verdict.problems)
        if verdict.outcome is Outcome.FAILED:
            msg = f"the memory image is not usable: {'; '.join(verdict.problems)}"
            error = MemoryCaptureError(
                msg, next_action="it is kept and locked; clear memory.capture_memory for another"
            )
            error.retryable = False
            raise error
        return {"evidence_id": item, "outcome": verdict.outcome.value, "sha256": stored.sha256}

    def _parts(self, recorder: CaseRecorder, evidence: MemoryEvidence, claims: CaptureStatus) -> PartList:
        prefix = evidence.origin.landing_prefix
        found = parse(recorder.gateways.landing.read(f"{prefix}/{LIST}", limit=LIST_LIMIT))
        if found.sha256 != claims.list_sha256:
            msg = f"{evidence.evidence_id}: the list of parts has SHA-256 {found.sha256}, the target computed {claims.list_sha256}"
            raise DigestMismatchError(msg)
        recorder.gateways.evidence.put(_key(recorder, evidence, LIST), found.text, content_type="text/plain")
        return found

    def _image(self, recorder: CaseRecorder, evidence: MemoryEvidence, parts: PartList) -> Iterator[bytes]:
        """The image's bytes out of the landing bucket, each part compared with its digest, unfolded if compressed."""
        landed = recorder.gateways.landing.stream(f"{evidence.origin.landing_prefix}/{IMAGE}")
        limit = int(evidence.size_bytes or 0)
        return decoded(checked(landed, parts.parts), encoding=parts.encoding, limit=limit)

    def _agree(self, evidence: MemoryEvidence, stored: StoredObject, claims: CaptureStatus) -> None:
        whole = claims.sha256
        if whole and stored.sha256 != whole:
            msg = f"{evidence.evidence_id}: the stored object's SHA-256 is {stored.sha256}, the target computed {whole}"
            raise DigestMismatchError(msg)
        if stored.size_bytes != evidence.size_bytes:
            msg = (
                f"{evidence.evidence_id}: {stored.size_bytes} bytes were stored, the target read {evidence.size_bytes}"
            )
            raise EvidenceTransferError(msg, next_action="clear memory.capture_memory to capture again")

    def _record(self, recorder: CaseRecorder, evidence: MemoryEvidence, problems: list[str]) -> None:
        # The ledger first: a kill between the two repeats the step, and `once` keeps the ledger free of doubles.
        item, attempt = evidence.evidence_id, evidence.origin.landing_prefix
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
        recorder.save_evidence(evidence)
        recorder.sign_ledger("memory")
        good = evidence.outcome is Outcome.ACQUIRED
        said = "memory acquired: every part and the stored object hashed, the image found usable"
        recorder.note(
            said if good else f"memory is {evidence.outcome.value}: {'; '.join(problems)}",
            kind=TimelineKind.EVIDENCE,
            evidence_id=item,
        )
        if evidence.outcome is Outcome.FAILED:
            return  # the step's failure is announced instead
        recorder.announce(
            "memory_acquired",
            "Memory acquired" if good else "Memory acquired, PARTIAL",
            lines=[
                f"{evidence.size_bytes} bytes, SHA-256 {evidence.digests[-1].value}",
                f"Stored at {evidence.uri}",
                *problems,
            ],
            facts={"evidence_id": item, "uri": evidence.uri, "sha256": evidence.digests[-1].value},
        )

    def _facts(self, recorder: CaseRecorder, evidence: MemoryEvidence, claims: CaptureStatus) -> Facts:
        """Kernel facts that gate and investigation need: BTF, symbol addresses, banner, RAM map."""
        facts = Facts({}, {}, [])
        prefix = evidence.origin.landing_prefix
        for name in KERNEL_FACTS:
            if recorder.gateways.landing.size(f"{prefix}/{name}") in {None, 0}:
                facts.missing.append(name)
                continue
            body = recorder.gateways.landing.read(f"{prefix}/{name}", limit=FACT_LIMIT)
            key = _key(recorder, evidence, name)
            stored = recorder.gateways.evidence.put(key, body)
            claim = claims.symbols.get(name)
            said = claim.sha256 if claim else ""
            if said and said != stored.sha256:
                msg = f"{evidence.evidence_id}: kernel fact {name} has SHA-256 {stored.sha256}, the target computed {said}"
                raise DigestMismatchError(msg)
            facts.stored[name] = StoredFact(key=key, sha256=stored.sha256, bytes=stored.size_bytes)
            facts.bodies[name] = body
        return facts

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """An image that does not verify is not evidence."""
        evidence = recorder.memory()
        if evidence and evidence.outcome is not Outcome.ACQUIRED:
            recorder.fail_evidence(evidence, reason=cause)


def _key(recorder: CaseRecorder, evidence: MemoryEvidence, name: str) -> str:
    attempt = str(evidence.origin.landing_prefix).rsplit("/", 1)[1]
    return evidence_key(recorder.case_id, EvidenceKind.MEMORY, item=evidence.evidence_id, name=f"{attempt}/{name}")


def _claims(evidence: MemoryEvidence, facts: Facts) -> Claims:
    """What the gate compares with; the probe's banner was read before the capture and goes first."""
    probe = evidence.origin.probe or Probe()
    version = facts.bodies.get("version", b"").decode("utf-8", "replace")
    return Claims(
        banner=probe.banner or version or None,
        iomem=facts.bodies.get("iomem", b"").decode("ascii", "replace") or None,
        kallsyms=facts.bodies.get("kallsyms"),
        architecture=probe.architecture or "x86_64",
        memory_bytes=probe.memory_kib * 1024,
    )


def _verified(
    evidence: MemoryEvidence, stored: StoredObject, *, parts: PartList, facts: Facts, walker: LimeWalker, verdict: Grade
) -> MemoryEvidence:
    return evidence.model_copy(
        update={
            "outcome": verdict.outcome,
            "reason": "; ".join(verdict.problems)[:1000] or None,
            "uri": stored.uri,
            "version_id": stored.version_id,
            "size_bytes": stored.size_bytes,
            "digests": (
                *evidence.digests[:1],
                Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane"),
            ),
            "lock": {"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
            "origin": evidence.origin.model_copy(
                update={
                    "format": "raw" if walker.raw else "LiME v1",
                    "method": parts.method,
                    "transport": Transport(encoding=parts.encoding, parts=len(parts.parts), list_sha256=parts.sha256),
                    "ranges": len(walker.segments),
                    "zero_share": round(walker.zero_share, 4),
                    "kernel_banner": (walker.banner or "")[:400],
                    "kernel_facts": facts.stored,
                    "kernel_facts_missing": tuple(facts.missing),
                    "checks": tuple(f"{c.name}: {c.mark.value}, {c.said}" for c in verdict.checks),
                    "checks_passed": all(c.mark is Mark.PASSED for c in verdict.checks),
                }
            ),
        }
    )
