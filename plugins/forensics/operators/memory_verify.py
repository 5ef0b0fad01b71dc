"""Memory: verify what landed and write it to the evidence store (seed step 6, memory flow)."""

from __future__ import annotations

from typing import Any

from forensics.aws.desk import CaseDesk
from forensics.domain.lime import LimeWalker
from forensics.domain.manifest import MIB
from forensics.domain.naming import evidence_id, evidence_key
from forensics.errors import DigestMismatchError, MemoryCaptureError
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, Evidence, EvidenceKind, Outcome
from forensics.operators.base import ForensicOperator, Json
from forensics.operators.memory import KERNEL_FACTS

FACT_LIMIT = 64 * MIB


class VerifyMemoryOperator(ForensicOperator):
    """Read what landed, hash it, check that it is memory, and write it to the evidence store under lock.

    The target's own digest is a claim; the stored object's digest is computed here and the two must agree.
    """

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Promote the landed image to evidence."""
        item = evidence_id(EvidenceKind.MEMORY, desk.case.instance_id)
        evidence = desk.evidence_item(item)
        if evidence is None or "claims" not in evidence.origin:
            msg = "no memory image has landed"
            raise MemoryCaptureError(msg, next_action="clear memory.capture_memory")
        if evidence.outcome is Outcome.ACQUIRED:
            return {"evidence_id": item, "already": True}
        prefix, walker = evidence.origin["landing_prefix"], LimeWalker()
        key = evidence_key(desk.case_id, EvidenceKind.MEMORY, item=item, name=f"{prefix.rsplit('/', 1)[1]}/memory.lime")
        stored = desk.gw.evidence.put_stream(key, desk.gw.landing.stream(f"{prefix}/memory.lime"), on_chunk=walker.feed)
        claimed = evidence.digests[0].value
        if stored.sha256 != claimed:
            msg = f"{item}: the stored object's SHA-256 is {stored.sha256}, the target computed {claimed}"
            raise DigestMismatchError(msg)
        facts, missing = self._facts(desk, evidence, item=item, prefix=prefix)
        problems = walker.problems()
        outcome = Outcome.PARTIAL if problems else Outcome.ACQUIRED
        verified = evidence.model_copy(
            update={
                "outcome": outcome,
                "reason": "; ".join(problems) or None,
                "uri": stored.uri,
                "version_id": stored.version_id,
                "size_bytes": stored.size_bytes,
                "digests": (
                    *evidence.digests[:1],
                    Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane"),
                ),
                "lock": {"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
                "origin": {
                    **evidence.origin,
                    "format": "LiME v1",
                    "ranges": len(walker.ranges),
                    "zero_share": round(walker.zero_share, 4),
                    "kernel_banner": (walker.banner or "")[:400],
                    "kernel_facts": facts,
                    "kernel_facts_missing": missing,
                },
            }
        )
        self._record(desk, verified, problems)
        return {"evidence_id": item, "outcome": outcome.value, "sha256": stored.sha256}

    def _record(self, desk: CaseDesk, evidence: Evidence, problems: list[str]) -> None:
        # The ledger first: a kill between the two repeats the step, and `once` keeps the ledger free of doubles.
        item, attempt = evidence.evidence_id, evidence.origin["landing_prefix"]
        desk.custody(
            CustodyAction.EVIDENCE_ACQUIRED,
            evidence_id=item,
            once=f"acquired-{attempt}",
            detail={
                "uri": evidence.uri,
                "version_id": evidence.version_id,
                "bytes": evidence.size_bytes,
                "sha256": evidence.digests[-1].value,
                "outcome": evidence.outcome.value,
            },
        )
        desk.custody(
            CustodyAction.EVIDENCE_LOCKED, evidence_id=item, detail=dict(evidence.lock), once=f"locked-{attempt}"
        )
        desk.save_evidence(evidence)
        desk.sign_ledger("memory")
        said = (
            "memory acquired: stored object hashed, equal to the target's digest"
            if not problems
            else f"memory is PARTIAL: {'; '.join(problems)}"
        )
        desk.note(said, kind=TimelineKind.EVIDENCE, evidence_id=item)
        desk.announce(
            "memory_acquired",
            "Memory acquired" if not problems else "Memory acquired, PARTIAL",
            lines=[
                f"{evidence.size_bytes} bytes, SHA-256 {evidence.digests[-1].value}",
                f"Stored at {evidence.uri}",
                *problems,
            ],
            facts={"evidence_id": item, "uri": evidence.uri, "sha256": evidence.digests[-1].value},
        )

    def _facts(self, desk: CaseDesk, evidence: Evidence, *, item: str, prefix: str) -> tuple[dict[str, Any], list[str]]:
        """Kernel facts that the investigation needs for the symbol table: BTF, symbol addresses, banner, RAM map."""
        kept, missing = {}, []
        claims = evidence.origin["claims"].get("symbols") or {}
        for name in KERNEL_FACTS:
            if desk.gw.landing.size(f"{prefix}/{name}") in {None, 0}:
                missing.append(name)
                continue
            body = desk.gw.landing.read(f"{prefix}/{name}", limit=FACT_LIMIT)
            key = evidence_key(desk.case_id, EvidenceKind.MEMORY, item=item, name=f"{prefix.rsplit('/', 1)[1]}/{name}")
            stored = desk.gw.evidence.put(key, body)
            claim = claims.get(name)
            said = claim.get("sha256") if isinstance(claim, dict) else None
            if said and said != stored.sha256:
                msg = f"{item}: kernel fact {name} has SHA-256 {stored.sha256}, the target computed {said}"
                raise DigestMismatchError(msg)
            kept[name] = {"key": key, "sha256": stored.sha256, "bytes": stored.size_bytes}
        return kept, missing

    def on_final_failure(self, desk: CaseDesk, cause: str) -> None:
        """An image that does not verify is not evidence."""
        evidence = desk.evidence_item(evidence_id(EvidenceKind.MEMORY, desk.case.instance_id))
        if evidence and evidence.outcome is not Outcome.ACQUIRED:
            desk.fail_evidence(evidence, reason=cause)
