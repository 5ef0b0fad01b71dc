"""Memory: capture on the target by SSM, then verify what landed (seed step 6, memory flow)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.desk import CaseDesk
from forensics.aws.ssm import Invocation
from forensics.domain.documents import choose
from forensics.domain.manifest import MIB, part_size_for, render
from forensics.domain.naming import evidence_id
from forensics.errors import EvidenceTransferError, ForensicsError, MemoryCaptureError
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, Evidence, EvidenceKind, Outcome
from forensics.models.target import Target
from forensics.operators.base import ForensicOperator, Json
from forensics.triggers.aws import SsmCommandsCompletedTrigger

KERNEL_FACTS = ("btf", "kallsyms", "version", "iomem")
URL_MARGIN_SECONDS = 900
DELIVERY_SECONDS = 180
CLAIM_LIMIT = 8000


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
        known = desk.evidence_item(item)
        if known and (known.outcome is Outcome.ACQUIRED or _landed(known)):
            return {"evidence_id": item, "already": True}
        ssm = self.hook.account(self.hook.scope(desk.case, "acquire")).ssm
        live = ssm.find_command(instance_id=desk.case.instance_id, comment=_comment(desk, item))
        left = self._time_left(known)
        if left <= 0:
            self._give_up(desk, known, live)
        if known and _under_way(known, live):
            command_id = live or str(known.origin["command_id"])
            self._adopt(desk, known, command_id)
        else:
            command_id = self._start(desk, target, item=item, first=known)
        scope = self.hook.scope(desk.case, "acquire").as_dict()
        seconds = left + DELIVERY_SECONDS
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=scope, commands=[[command_id, desk.case.instance_id]], **self.timing(seconds)
            )
        )
        return None

    def _adopt(self, desk: CaseDesk, known: Evidence, command_id: str) -> None:
        """Take up the command of an earlier try that was killed, whether or not it came to record it."""
        if known.origin.get("command_id") != command_id:
            known = known.model_copy(update={"origin": {**known.origin, "command_id": command_id}})
            desk.save_evidence(known)
        self._touched(desk, known)

    def _time_left(self, known: Evidence | None) -> float:
        """Seconds left: isolation waits for the capture, so all tries together get the time set for one."""
        budget = float(self.hook.settings.memory_timeout_seconds)
        if known is None or known.outcome is Outcome.FAILED or "first_started" not in known.origin:
            return budget  # the first try, or a person cleared the task
        return budget - (datetime.now(UTC) - datetime.fromisoformat(known.origin["first_started"])).total_seconds()

    def _give_up(self, desk: CaseDesk, known: Evidence | None, live: str | None) -> None:
        if live:
            ssm = self.hook.account(self.hook.scope(desk.case, "acquire")).ssm
            ssm.cancel(command_id=live, instance_id=desk.case.instance_id)
        if known and "upload_id" in known.origin:
            self._abort(desk, known)
        msg = f"the memory capture has used its {self.hook.settings.memory_timeout_seconds} s"
        error = MemoryCaptureError(msg, next_action="isolation goes on; clear this task to capture once more")
        error.retryable = False
        raise error

    def _touched(self, desk: CaseDesk, evidence: Evidence) -> None:
        origin = evidence.origin
        desk.custody(
            CustodyAction.HOST_TOUCHED,
            evidence_id=evidence.evidence_id,
            detail={k: v for k, v in origin.items() if k not in {"upload_id", "claims"}},
            once=f"touched-{origin['command_id']}",
        )

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

    def _start(self, desk: CaseDesk, target: Target, *, item: str, first: Evidence | None) -> str:
        """Prepare the upload, record the attempt, send the command, record its id: a kill between any two is found."""
        settings = self.hook.settings
        account = self.hook.account(self.hook.scope(desk.case, "acquire"))
        prefix = f"{desk.case_id}/{item}/{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        document = choose("acquire_memory", platform=target.platform)
        version = account.ssm.document_version(document.name)
        upload_id, url = self._offer(desk, prefix, memory_mib=account.ec2.memory_mib(target.instance_type))
        started = datetime.now(UTC)
        evidence = Evidence(
            evidence_id=item,
            kind=EvidenceKind.MEMORY,
            outcome=Outcome.PENDING,
            account_id=desk.case.account_id,
            region=desk.case.region,
            started_at=started,
            origin={
                "first_started": _first_started(first) or started.isoformat(),
                "document": document.name,
                "document_version": version,
                "document_sha256": document.sha256,
                "landing_prefix": prefix,
                "upload_id": upload_id,
                "instance_id": desk.case.instance_id,
                "tool": "avml",
                "tool_sha256": settings.capture_tool_sha256,
            },
        )
        desk.save_evidence(evidence)
        command_id = account.ssm.send(
            document=document.name,
            version=version,
            sha256=document.sha256,
            instance_id=desk.case.instance_id,
            parameters={"CaseId": desk.case_id, "EvidenceId": item, "ManifestUrl": url},
            comment=_comment(desk, item),
            timeout_seconds=settings.memory_timeout_seconds,
        )
        self._adopt(desk, evidence, command_id)
        desk.note(
            f"memory capture started on {desk.case.instance_id} (command {command_id})",
            kind=TimelineKind.EVIDENCE,
            evidence_id=item,
        )
        return command_id

    def _offer(self, desk: CaseDesk, prefix: str, *, memory_mib: int) -> tuple[str, str]:
        """Start the upload and publish the manifest; returns the upload's id and the manifest's URL."""
        settings = self.hook.settings
        if memory_mib > settings.memory_limit_gib * 1024:
            msg = f"the instance has {memory_mib} MiB of memory; forensics.memory_limit_gib allows {settings.memory_limit_gib} GiB"
            error = MemoryCaptureError(
                msg, next_action="raise the setting if a capture of that size is wanted, then clear this task"
            )
            error.retryable = False
            raise error
        key = f"{prefix}/memory.lime"
        seconds = settings.memory_timeout_seconds + URL_MARGIN_SECONDS
        part_size, count = part_size_for(memory_mib * MIB)
        landing = desk.gw.landing
        upload_id = landing.start_upload(key)
        manifest = render(
            gets={"avml": (settings.capture_tool_sha256, desk.gw.tools.get_url(settings.capture_tool_key))},
            puts={name: landing.put_url(f"{prefix}/{name}", seconds=seconds) for name in KERNEL_FACTS},
            parts=landing.part_urls(key, upload_id=upload_id, count=count, seconds=seconds),
            part_size=part_size,
        )
        return upload_id, landing.publish(f"{prefix}/manifest.txt", text=manifest)

    def resume(self, desk: CaseDesk, payload: dict[str, Any], context: Any) -> Json:
        """Read how the command ended, complete the upload from what S3 received."""
        item = evidence_id(EvidenceKind.MEMORY, desk.case.instance_id)
        evidence = desk.evidence_item(item)
        if evidence is None:
            msg = f"evidence {item} was never started"
            raise MemoryCaptureError(msg)
        account = self.hook.account(self.hook.scope(desk.case, "acquire"))
        found = account.ssm.invocation(command_id=evidence.origin["command_id"], instance_id=desk.case.instance_id)
        if found is None or found.status != "Success":
            self._abort(desk, evidence)
            desk.save_evidence(evidence.model_copy(update={"origin": {**evidence.origin, "attempt_failed": True}}))
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


def _comment(desk: CaseDesk, item: str) -> str:
    """The command's comment: how a retry recognises it."""
    return f"{desk.case_id} {item}"


def _under_way(known: Evidence, live: str | None) -> bool:
    """Whether an earlier try's command is there to be taken up: running, or ended and not yet judged."""
    recorded = known.origin.get("command_id") and not known.origin.get("attempt_failed")
    return known.outcome is Outcome.PENDING and bool(live or recorded)


def _first_started(first: Evidence | None) -> str | None:
    if first is None or first.outcome is Outcome.FAILED:
        return None
    return first.origin.get("first_started")


def _landed(evidence: Evidence) -> bool:
    """Whether a try of this evidence has completed its upload (what follows is verification, not capture)."""
    return evidence.outcome is Outcome.PENDING and "claims" in evidence.origin


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
    if len(json.dumps(kept)) > CLAIM_LIMIT or not isinstance(kept["symbols"] or {}, dict):
        msg = f"command {found.command_id} ended with a status line that is not of the agreed form"
        raise MemoryCaptureError(
            msg, next_action="look at the command's output in SSM; clear this task to capture again"
        )
    return kept


def _time(value: object, *, not_before: datetime | None, not_after: datetime) -> datetime:
    """A time that the target reports, kept within what the control plane has seen."""
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return not_before or not_after
    if moment.tzinfo is None or moment > not_after or (not_before and moment < not_before):
        return not_before or not_after
    return moment
