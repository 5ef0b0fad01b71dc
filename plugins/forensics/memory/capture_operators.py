"""Memory: capture on the target by SSM, in parts, taking up what an earlier try has sent (seed step 6, memory flow)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.session import AwsSession
from forensics.aws.ssm import Invocation, SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.recorder import CaseRecorder
from forensics.case.status_line import read_status
from forensics.case.step import ForensicOperator, Json
from forensics.document_registry import choose
from forensics.errors import EvidenceTransferError, ForensicsError, MemoryCaptureError
from forensics.manifest import MIB, part_size_for
from forensics.memory.lime_module_store import LimeModuleStore
from forensics.memory.lime_modules import LimeModule
from forensics.memory.method import Choice
from forensics.memory.probe_operators import answer, choice
from forensics.memory.upload_manifest import (
    DELIVERY_SECONDS,
    LIST,
    Upload,
    interrupted,
    lime_module,
    new_upload,
    publish,
)
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import LIST_SUBJECT, Digest, EvidenceKind, MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.status_lines import CaptureStatus, Probe
from forensics.models.target import Target
from forensics.naming import evidence_id

# Tries one after the other that sent nothing: then it is the target, and repeating does not help.
LIMIT_WITHOUT_DATA = 3
SHORTEST_SECONDS = 60
_NEXT = "look at the command's output in SSM; clear this task to capture again"


class CaptureMemoryOperator(ForensicOperator):
    """Capture the target's memory: a pinned SSM document streams it in parts to presigned URLs.

    The target gets no credential, nothing is installed there and nothing is written to its disks. A retry takes up a
    command that is still running; one that was cut off goes on at the part where it stopped. Several commands follow one
    another when the capture takes longer than its URLs are valid.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Choose the method, send the command and wait for it."""
        plan, target = recorder.plan(), recorder.target()
        if plan is None or target is None:
            msg = "there is no response plan: triage did not end"
            raise AirflowSkipException(msg)
        item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
        if not plan.memory.go:
            self._not_taken(recorder, item)
        known = recorder.memory()
        if known and (known.outcome is Outcome.ACQUIRED or _landed(known)):
            return {"evidence_id": item, "already": True}
        ssm = SsmGateway.of(self.sessions.target("acquire"))
        live = ssm.find_command(instance_id=recorder.case.instance_id, comment=_comment(recorder, item))
        left = self._time_left(known)
        if left <= 0:
            self._give_up(recorder, live)
        if known and _under_way(known, live):
            command_id = live or str(known.origin.command_id)
            self._adopt(recorder, known, command_id)
        else:
            command_id = self._start(recorder, target, item=item, first=known, left=left)
        self._wait_for(recorder, command_id, left)
        return None

    def _wait_for(self, recorder: CaseRecorder, command_id: str, left: float) -> None:
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=self.sessions.target_scope("acquire").as_dict(),
                commands=[[command_id, recorder.case.instance_id]],
                **self.timing(left + DELIVERY_SECONDS),
            )
        )

    def _adopt(self, recorder: CaseRecorder, known: MemoryEvidence, command_id: str) -> None:
        """Take up the command of an earlier try that was killed, whether or not it came to record it."""
        if known.origin.command_id != command_id:
            known = known.model_copy(update={"origin": known.origin.model_copy(update={"command_id": command_id})})
            recorder.save_evidence(known)
        self._touched(recorder, known)

    def _time_left(self, known: MemoryEvidence | None) -> float:
        """Seconds left: isolation waits for the capture, so all tries together get the time set for one."""
        budget = float(self.settings.memory_timeout_seconds)
        if known is None or known.outcome is not Outcome.PENDING or known.origin.first_started is None:
            return budget  # the first try, or a person cleared the task
        return budget - (datetime.now(UTC) - known.origin.first_started).total_seconds()

    def _give_up(self, recorder: CaseRecorder, live: str | None) -> None:
        if live:
            ssm = SsmGateway.of(self.sessions.target("acquire"))
            ssm.cancel(command_id=live, instance_id=recorder.case.instance_id)
        # The upload stays: what has landed of it is there for a person who clears the task.
        msg = f"the memory capture has used its {self.settings.memory_timeout_seconds} s"
        error = MemoryCaptureError(msg, next_action="isolation goes on; clear this task to go on with the capture")
        error.retryable = False
        raise error

    def _touched(self, recorder: CaseRecorder, evidence: MemoryEvidence) -> None:
        origin = evidence.origin
        recorder.custody(
            CustodyAction.HOST_TOUCHED,
            evidence_id=evidence.evidence_id,
            detail=origin.stated(without=frozenset({"upload_id", "claims", "probe"})),
            once=f"touched-{origin.command_id}",
        )

    def _not_taken(self, recorder: CaseRecorder, item: str) -> None:
        plan = recorder.plan()
        decision = plan.memory if plan else None
        reason = "; ".join(decision.reasons) if decision else "no plan"
        wanted = bool(decision and decision.wanted)
        outcome = Outcome.NOT_APPLICABLE if wanted else Outcome.SKIPPED
        next_step = "bring the instance under SSM and start a case for memory by hand, or go on with the disks"
        self._without_image(recorder, item, outcome, reason, next_step=next_step if wanted else "")

    def _without_image(
        self, recorder: CaseRecorder, item: str, outcome: Outcome, reason: str, *, next_step: str
    ) -> None:
        """Record why there is no image, tell people where one was wanted, and skip."""
        known = recorder.memory()
        if known is None or known.outcome is not outcome:
            empty = MemoryEvidence(evidence_id=item, outcome=outcome)
            recorder.fail_evidence(empty, reason=reason, outcome=outcome)
        if next_step:
            recorder.announce(
                f"failed:{self.task_id}",
                "Memory cannot be captured",
                lines=[f"Step: {self.task_id}", f"Cause: {reason}", f"What to do next: {next_step}"],
                facts={"step": self.task_id, "cause": reason},
            )
        raise AirflowSkipException(f"memory is not captured: {reason}")

    # ------------------------------------------------------------------ sending
    def _start(
        self, recorder: CaseRecorder, target: Target, *, item: str, first: MemoryEvidence | None, left: float
    ) -> str:
        """Choose, prepare the upload, record, send, record: a kill between any two is found by the next try."""
        account = self.sessions.target("acquire")
        memory_mib = self._memory_mib(account, target)
        probe = answer(recorder, account)
        module = lime_module(recorder, LimeModuleStore.of(self.sessions), probe)
        part_size = part_size_for(memory_mib * MIB)[0]
        chosen = choice(probe, self.settings, part_size=part_size, module=module)
        if not chosen.whole_image:
            outcome, reason = chosen.without_image
            # Single processes are the next step's work; until it has them there is nothing.
            outcome = Outcome.NOT_APPLICABLE if outcome is Outcome.PARTIAL else outcome
            self._without_image(
                recorder, item, outcome, reason, next_step="the disks and the live response hold what there is"
            )
        if first and first.origin.landing_prefix:
            recorder.gateways.landing.withdraw(first.origin.landing_prefix)
        upload, why_anew = interrupted(recorder, first)
        if upload is None:
            upload = self._anew(recorder, item, first, why=why_anew)
        evidence = self._record(recorder, target, item, upload=upload, first=first, chosen=chosen, probe=probe)
        return self._send(
            recorder, account, evidence, upload=upload, chosen=chosen, memory_mib=memory_mib, left=left, module=module
        )

    def _memory_mib(self, account: AwsSession, target: Target) -> int:
        """Memory of the instance type. Raises :class:`MemoryCaptureError` when the policy's limit is below it."""
        found, limit = Ec2Gateway.of(account).memory_mib(target.instance_type), self.settings.memory_limit_gib
        if found > limit * 1024:
            msg = f"the instance has {found} MiB of memory; forensics.memory_limit_gib allows {limit} GiB"
            error = MemoryCaptureError(
                msg, next_action="raise the setting if a capture of that size is wanted, then clear this task"
            )
            error.retryable = False
            raise error
        return found

    def _anew(self, recorder: CaseRecorder, item: str, first: MemoryEvidence | None, *, why: str) -> Upload:
        if first and first.origin.upload_id:
            old = Upload(str(first.origin.landing_prefix), first.origin.upload_id)
            recorder.gateways.landing.abort_upload(old.key, upload_id=old.upload_id)
            recorder.note(
                f"memory capture starts from the beginning: {why}", kind=TimelineKind.EVIDENCE, evidence_id=item
            )
        return new_upload(recorder, item)

    def _record(
        self,
        recorder: CaseRecorder,
        target: Target,
        item: str,
        *,
        upload: Upload,
        first: MemoryEvidence | None,
        chosen: Choice,
        probe: Probe | None,
    ) -> MemoryEvidence:
        document = choose("acquire_memory", platform=target.platform)
        started = datetime.now(UTC)
        pending = first if first and first.outcome is Outcome.PENDING else None
        evidence = MemoryEvidence(
            evidence_id=item,
            outcome=Outcome.PENDING,
            account_id=recorder.case.account_id,
            region=recorder.case.region,
            started_at=pending.started_at if pending and upload.known else started,
            origin=MemoryOrigin(
                first_started=(pending.origin.first_started if pending else None) or started,
                document=document.name,
                document_sha256=document.sha256,
                landing_prefix=upload.prefix,
                upload_id=upload.upload_id,
                instance_id=recorder.case.instance_id,
                tool_sha256=self.settings.capture_tool_sha256,
                methods=tuple(m.value for m in chosen.whole_image),
                why=chosen.why,
                warnings=tuple(chosen.warnings),
                probe=probe,
                first_part=upload.first_part,
                attempts_without_data=pending.origin.attempts_without_data if pending else 0,
            ),
        )
        return recorder.save_evidence(evidence)

    def _send(
        self,
        recorder: CaseRecorder,
        account: AwsSession,
        evidence: MemoryEvidence,
        *,
        upload: Upload,
        chosen: Choice,
        memory_mib: int,
        left: float,
        module: LimeModule | None,
    ) -> str:
        settings, origin = self.settings, evidence.origin
        architecture = (origin.probe.architecture if origin.probe else "") or "x86_64"
        url = publish(
            recorder, settings, upload, choice=chosen, memory_mib=memory_mib, architecture=architecture, module=module
        )
        version = SsmGateway.of(account).document_version(str(origin.document))
        seconds = max(SHORTEST_SECONDS, int(left))
        command_id = SsmGateway.of(account).send(
            document=str(origin.document),
            version=version,
            sha256=str(origin.document_sha256),
            instance_id=recorder.case.instance_id,
            parameters={
                "CaseId": recorder.case_id,
                "EvidenceId": evidence.evidence_id,
                "ManifestUrl": url,
                "ExecutionTimeout": str(seconds),
            },
            comment=_comment(recorder, evidence.evidence_id),
            timeout_seconds=seconds,
        )
        sent = evidence.model_copy(update={"origin": origin.model_copy(update={"document_version": version})})
        self._adopt(recorder, sent, command_id)
        where = f", goes on at part {upload.first_part}" if upload.known else ""
        recorder.note(
            f"memory capture started on {recorder.case.instance_id} (command {command_id}{where}); {chosen.why}",
            kind=TimelineKind.EVIDENCE,
            evidence_id=evidence.evidence_id,
        )
        return command_id

    # ------------------------------------------------------------------ judging
    def resume(self, recorder: CaseRecorder, payload: dict[str, Any], context: Context) -> Json:
        """Read how the command ended; complete the upload, or go on with the next leg."""
        item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
        evidence = recorder.memory()
        if evidence is None:
            msg = f"evidence {item} was never started"
            raise MemoryCaptureError(msg)
        account = self.sessions.target("acquire")
        found = SsmGateway.of(account).invocation(
            command_id=str(evidence.origin.command_id), instance_id=recorder.case.instance_id
        )
        recorder.gateways.landing.withdraw(str(evidence.origin.landing_prefix))
        if found is None or found.status != "Success":
            raise self._cut_off(recorder, evidence, found)
        claims = read_status(found, CaptureStatus, error=MemoryCaptureError, next_action=_NEXT)
        if claims.status == "more":
            self._next_leg(recorder, evidence)
        return self._complete(recorder, evidence, claims)

    def _cut_off(
        self, recorder: CaseRecorder, evidence: MemoryEvidence, found: Invocation | None
    ) -> MemoryCaptureError:
        """Record that the try failed; what has landed stays where the next try finds it."""
        upload, _ = interrupted(recorder, evidence)
        reached = len(upload.known.parts) if upload and upload.known else 0
        progressed = reached >= evidence.origin.first_part
        without_data = 0 if progressed else evidence.origin.attempts_without_data + 1
        changes: dict[str, Any] = {"attempt_failed": True, "attempts_without_data": without_data}
        cause = found.cause() if found else f"command {evidence.origin.command_id} has vanished from SSM"
        if evidence.origin.first_part > 1 and not progressed:
            changes["no_resume"] = f"going on at part {evidence.origin.first_part} failed: {cause[:200]}"
        recorder.save_evidence(evidence.model_copy(update={"origin": evidence.origin.model_copy(update=changes)}))
        error = MemoryCaptureError(
            f"memory capture failed: {cause}"
            + (f"; {reached} parts have landed, the next try goes on from there" if progressed else ""),
            next_action="look at the command's output in SSM; clear this task to capture again",
        )
        error.retryable = without_data < LIMIT_WITHOUT_DATA
        return error

    def _next_leg(self, recorder: CaseRecorder, evidence: MemoryEvidence) -> None:
        """The URLs are about to expire: the next command goes on with fresh ones."""
        left, target = self._time_left(evidence), recorder.target()
        if left <= 0 or target is None:
            self._give_up(recorder, None)
            return
        recorder.save_evidence(
            evidence.model_copy(update={"origin": evidence.origin.model_copy(update={"attempt_failed": True})})
        )
        known = recorder.memory()
        self._wait_for(recorder, self._start(recorder, target, item=evidence.evidence_id, first=known, left=left), left)

    def _complete(self, recorder: CaseRecorder, evidence: MemoryEvidence, claims: CaptureStatus) -> Json:
        upload = Upload(str(evidence.origin.landing_prefix), str(evidence.origin.upload_id))
        size = recorder.gateways.landing.complete_upload(upload.key, upload_id=upload.upload_id)
        if claims.encoding == "none" and size != claims.bytes:
            msg = f"{size} bytes landed but the target says it sent {claims.bytes}"
            raise EvidenceTransferError(msg, next_action="clear this task to capture again")
        if recorder.gateways.landing.size(f"{upload.prefix}/{LIST}") is None:
            msg = "the image landed without the list of its parts"
            raise EvidenceTransferError(msg, next_action="clear this task to capture again")
        ended = datetime.now(UTC)
        whole = bool(claims.sha256)
        digest = Digest(
            value=claims.sha256 if whole else claims.list_sha256,
            subject="the byte stream as the target sent it" if whole else LIST_SUBJECT,
            source="target",
        )
        recorder.save_evidence(
            evidence.model_copy(
                update={
                    "ended_at": ended,
                    "size_bytes": claims.bytes,
                    "digests": (digest,),
                    "origin": evidence.origin.model_copy(update={"claims": claims, "landed_bytes": size}),
                }
            )
        )
        first = claims.began(not_before=evidence.started_at, not_after=ended)
        recorder.milestone(Milestone.FIRST_VOLATILE_BYTE, first)
        recorder.milestone(Milestone.MEMORY_COMPLETE, ended)
        said = f"memory captured by {claims.method}: {claims.bytes} bytes, {size} as sent"
        recorder.note(said, kind=TimelineKind.EVIDENCE, evidence_id=evidence.evidence_id)
        return {"evidence_id": evidence.evidence_id, "bytes": claims.bytes}

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A wait that failed is a failed capture."""
        return MemoryCaptureError(f"memory capture: {cause}", next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The evidence item says why there is no memory."""
        item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
        evidence = recorder.memory() or MemoryEvidence(evidence_id=item, outcome=Outcome.FAILED)
        if evidence.outcome is not Outcome.ACQUIRED:
            recorder.fail_evidence(evidence, reason=cause)


def _comment(recorder: CaseRecorder, item: str) -> str:
    """The command's comment: how a retry recognises it."""
    return f"{recorder.case_id} {item}"


def _under_way(known: MemoryEvidence, live: str | None) -> bool:
    """Whether an earlier try's command is there to be taken up: running, or ended and not yet judged."""
    recorded = known.origin.command_id and not known.origin.attempt_failed
    return known.outcome is Outcome.PENDING and bool(live or recorded)


def _landed(evidence: MemoryEvidence) -> bool:
    """Whether a try of this evidence has completed its upload (what follows is verification, not capture)."""
    return evidence.outcome is Outcome.PENDING and evidence.origin.claims is not None
