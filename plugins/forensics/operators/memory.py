"""Memory: capture on the target by SSM, then verify what landed (seed step 6, memory flow)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.desk import CaseDesk
from forensics.aws.ssm import Invocation
from forensics.domain.documents import choose
from forensics.domain.lime import LimeWalker
from forensics.domain.manifest import MIB, part_size_for, render
from forensics.domain.naming import evidence_id, evidence_key
from forensics.errors import DigestMismatchError, EvidenceTransferError, ForensicsError, MemoryCaptureError
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, Evidence, EvidenceKind, Outcome
from forensics.models.target import Target
from forensics.operators.base import ForensicOperator, Json
from forensics.triggers.aws import SsmCommandsCompletedTrigger

KERNEL_FACTS = ("btf", "kallsyms", "version", "iomem")
FACT_LIMIT = 64 * MIB


class CaptureMemoryOperator(ForensicOperator):
    """Capture the target's memory: a pinned SSM document streams it in parts to presigned URLs.

    The target gets no credential, nothing is installed there and nothing is written to its disks. A retry takes up a
    command that is still running instead of sending a second one.
    """

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Send the command and wait for it."""
        plan, target = desk.plan(), desk.target()
        if plan is None or target is None:
            msg = "there is no response plan: triage did not end"
            raise AirflowSkipException(msg)
        item = evidence_id(EvidenceKind.MEMORY, desk.case.instance_id)
        if not plan.memory.go:
            self._not_taken(desk, item)
        done = desk.evidence_item(item)
        if done and done.outcome is Outcome.ACQUIRED:
            return {"evidence_id": item, "already": True}
        account = self.hook.account(self.hook.scope(desk.case, "acquire"))
        comment = f"{desk.case_id} {item}"
        command_id = account.ssm.find_command(instance_id=desk.case.instance_id, comment=comment)
        if command_id is None or done is None or done.origin.get("command_id") != command_id:
            command_id = self._start(desk, target, item=item, comment=comment)
        scope = self.hook.scope(desk.case, "acquire").as_dict()
        seconds = self.hook.settings.memory_timeout_seconds + 180
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=scope, commands=[[command_id, desk.case.instance_id]], **self.timing(seconds)
            )
        )
        return None

    def _not_taken(self, desk: CaseDesk, item: str) -> None:
        plan = desk.plan()
        decision = plan.memory if plan else None
        reason = "; ".join(decision.reasons) if decision else "no plan"
        wanted = bool(decision and decision.wanted)
        outcome = Outcome.NOT_APPLICABLE if wanted else Outcome.SKIPPED
        if desk.evidence_item(item) is None:
            desk.fail_evidence(
                Evidence(evidence_id=item, kind=EvidenceKind.MEMORY, outcome=outcome),
                reason=reason,
                outcome=outcome,
            )
        if wanted:
            desk.announce(
                f"failed:{self.task_id}",
                "Memory cannot be captured",
                lines=[
                    f"Step: {self.task_id}",
                    f"Cause: {reason}",
                    "What to do next: bring the instance under SSM and start a case for memory by hand, or go on with the disks",
                ],
                facts={"step": self.task_id, "cause": reason},
            )
        raise AirflowSkipException(f"memory is not captured: {reason}")

    def _start(self, desk: CaseDesk, target: Target, *, item: str, comment: str) -> str:
        account = self.hook.account(self.hook.scope(desk.case, "acquire"))
        attempt = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        prefix = f"{desk.case_id}/{item}/{attempt}"
        key = f"{prefix}/memory.lime"
        part_size, count = part_size_for(account.ec2.memory_mib(target.instance_type) * MIB)
        upload_id = desk.gw.landing.start_upload(key)
        manifest = render(
            gets={
                "avml": (
                    self.hook.settings.capture_tool_sha256,
                    desk.gw.tools.get_url(self.hook.settings.capture_tool_key),
                )
            },
            puts={name: desk.gw.landing.put_url(f"{prefix}/{name}") for name in KERNEL_FACTS},
            parts=desk.gw.landing.part_urls(key, upload_id=upload_id, count=count),
            part_size=part_size,
        )
        url = desk.gw.landing.publish(f"{prefix}/manifest.txt", text=manifest)
        document = choose("acquire_memory", platform=target.platform)
        version = account.ssm.document_version(document.name)
        started = datetime.now(UTC)
        command_id = account.ssm.send(
            document=document.name,
            version=version,
            sha256=document.sha256,
            instance_id=desk.case.instance_id,
            parameters={"CaseId": desk.case_id, "EvidenceId": item, "ManifestUrl": url},
            comment=comment,
            timeout_seconds=self.hook.settings.memory_timeout_seconds,
        )
        origin = {
            "command_id": command_id,
            "document": document.name,
            "document_version": version,
            "document_sha256": document.sha256,
            "landing_prefix": prefix,
            "upload_id": upload_id,
            "instance_id": desk.case.instance_id,
            "tool": "avml",
            "tool_sha256": self.hook.settings.capture_tool_sha256,
        }
        desk.save_evidence(
            Evidence(
                evidence_id=item,
                kind=EvidenceKind.MEMORY,
                outcome=Outcome.PENDING,
                account_id=desk.case.account_id,
                region=desk.case.region,
                started_at=started,
                origin=origin,
            )
        )
        desk.custody(
            CustodyAction.HOST_TOUCHED,
            evidence_id=item,
            detail={k: v for k, v in origin.items() if k != "upload_id"},
        )
        desk.note(
            f"memory capture started on {desk.case.instance_id} (command {command_id})",
            kind=TimelineKind.EVIDENCE,
            evidence_id=item,
        )
        return command_id

    def resume(self, desk: CaseDesk, payload: dict[str, Any], context: Any) -> Json:
        """Read how the command ended, complete the upload from what S3 received."""
        item = evidence_id(EvidenceKind.MEMORY, desk.case.instance_id)
        evidence = desk.evidence_item(item)
        if evidence is None:
            msg = f"evidence {item} was never started"
            raise MemoryCaptureError(msg)
        account = self.hook.account(self.hook.scope(desk.case, "acquire"))
        found = account.ssm.invocation(
            command_id=evidence.origin["command_id"], instance_id=desk.case.instance_id
        )
        if found is None or found.status != "Success":
            self._abort(desk, evidence)
            msg = found.cause() if found else f"command {evidence.origin['command_id']} has vanished from SSM"
            raise MemoryCaptureError(
                f"memory capture failed: {msg}",
                next_action="look at the command's output in SSM; clear this task to capture again",
            )
        claims = _claims(found)
        size = desk.gw.landing.complete_upload(
            f"{evidence.origin['landing_prefix']}/memory.lime", upload_id=evidence.origin["upload_id"]
        )
        if size != claims["bytes"]:
            msg = f"{size} bytes landed but the target says it sent {claims['bytes']}"
            raise EvidenceTransferError(msg, next_action="clear this task to capture again")
        ended = datetime.now(UTC)
        desk.save_evidence(
            evidence.model_copy(
                update={
                    "ended_at": ended,
                    "size_bytes": size,
                    "digests": (
                        Digest(
                            value=claims["sha256"],
                            subject="the byte stream as the target sent it",
                            source="target",
                        ),
                    ),
                    "origin": {**evidence.origin, "claims": claims},
                }
            )
        )
        first = _time(claims.get("started"), not_before=evidence.started_at, not_after=ended)
        desk.milestone(Milestone.FIRST_VOLATILE_BYTE, first)
        desk.milestone(Milestone.MEMORY_COMPLETE, ended)
        desk.note(f"memory captured: {size} bytes landed", kind=TimelineKind.EVIDENCE, evidence_id=item)
        return {"evidence_id": item, "bytes": size}

    def _abort(self, desk: CaseDesk, evidence: Evidence) -> None:
        desk.gw.landing.abort_upload(
            f"{evidence.origin['landing_prefix']}/memory.lime", upload_id=evidence.origin["upload_id"]
        )

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A wait that failed is a failed capture."""
        return MemoryCaptureError(f"memory capture: {cause}", next_action=next_action or None)

    def on_final_failure(self, desk: CaseDesk, cause: str) -> None:
        """The evidence item says why there is no memory."""
        item = evidence_id(EvidenceKind.MEMORY, desk.case.instance_id)
        evidence = desk.evidence_item(item) or Evidence(
            evidence_id=item, kind=EvidenceKind.MEMORY, outcome=Outcome.FAILED
        )
        if evidence.outcome is not Outcome.ACQUIRED:
            desk.fail_evidence(evidence, reason=cause)


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
        key = evidence_key(
            desk.case_id, EvidenceKind.MEMORY, item=item, name=f"{prefix.rsplit('/', 1)[1]}/memory.lime"
        )
        stored = desk.gw.evidence.put_stream(
            key, desk.gw.landing.stream(f"{prefix}/memory.lime"), on_chunk=walker.feed
        )
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
                    Digest(
                        value=stored.sha256, subject="the stored object, all bytes", source="control-plane"
                    ),
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
        desk.save_evidence(evidence)
        item = evidence.evidence_id
        desk.custody(
            CustodyAction.EVIDENCE_ACQUIRED,
            evidence_id=item,
            detail={
                "uri": evidence.uri,
                "version_id": evidence.version_id,
                "bytes": evidence.size_bytes,
                "sha256": evidence.digests[-1].value,
                "outcome": evidence.outcome.value,
            },
        )
        desk.custody(CustodyAction.EVIDENCE_LOCKED, evidence_id=item, detail=dict(evidence.lock))
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

    def _facts(
        self, desk: CaseDesk, evidence: Evidence, *, item: str, prefix: str
    ) -> tuple[dict[str, Any], list[str]]:
        """Kernel facts that the investigation needs for the symbol table: BTF, symbol addresses, banner, RAM map."""
        kept, missing = {}, []
        claims = evidence.origin["claims"].get("symbols") or {}
        for name in KERNEL_FACTS:
            if desk.gw.landing.size(f"{prefix}/{name}") in {None, 0}:
                missing.append(name)
                continue
            body = desk.gw.landing.read(f"{prefix}/{name}", limit=FACT_LIMIT)
            key = evidence_key(
                desk.case_id, EvidenceKind.MEMORY, item=item, name=f"{prefix.rsplit('/', 1)[1]}/{name}"
            )
            stored = desk.gw.evidence.put(key, body)
            said = (claims.get(name) or {}).get("sha256")
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


def _claims(found: Invocation) -> dict[str, Any]:
    """What the target says about its capture; checked for form, believed only after the stored object is hashed."""
    line = found.status_line()
    size, digest = line.get("bytes"), str(line.get("sha256", ""))
    if (
        line.get("status") not in {"ok", "partial"}
        or not isinstance(size, int)
        or size <= 0
        or len(digest) != 64
        or not set(digest) <= set("0123456789abcdef")
    ):
        msg = f"command {found.command_id} succeeded without a valid status line: {found.stdout[-300:]!r}"
        raise MemoryCaptureError(
            msg, next_action="look at the command's output in SSM; clear this task to capture again"
        )
    kept = {
        k: line.get(k)
        for k in (
            "bytes",
            "sha256",
            "parts",
            "method",
            "tool_sha256",
            "kernel",
            "started",
            "ended",
            "symbols",
            "status",
            "reason",
        )
    }
    return dict(json.loads(json.dumps(kept)[:8000]))


def _time(value: object, *, not_before: datetime | None, not_after: datetime) -> datetime:
    """A time that the target reports, kept within what the control plane has seen."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return not_before or not_after
    if moment.tzinfo is None or moment > not_after or (not_before and moment < not_before):
        return not_before or not_after
    return moment
