"""The capture of a target's memory: begin or adopt a command, evaluate how it ended, complete the upload."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from forensics.aws.ssm import ASK_THE_AGENT, ExpectedCommand, Invocation
from forensics.case.adoption import living_command
from forensics.case.recorder import CaseRecorder
from forensics.case.status_line import read_status
from forensics.case.turns import turn
from forensics.errors import EvidenceSizeError, EvidenceTransferError, MemoryCaptureError
from forensics.manifest import MANIFEST
from forensics.memory.capture_command import command_comment, record_touch, send_command
from forensics.memory.capture_setup import CaptureGateways, capture_seconds, capture_setup
from forensics.memory.capture_state import CaptureEvent, CaptureState, advance, allows, replaced, state_of
from forensics.memory.host_urls import reached_by_target
from forensics.memory.landed_status import as_landed, status_key
from forensics.memory.limits import MIB, image_limit
from forensics.memory.upload_manifest import LIST, Upload, interrupted
from forensics.models.case import Milestone, TimelineKind
from forensics.models.evidence import LIST_SUBJECT, Digest, EvidenceKind, MemoryEvidence, Outcome
from forensics.models.plan import ResponsePlan
from forensics.models.status_lines import CaptureStatus
from forensics.models.target import Target
from forensics.naming import evidence_id
from forensics.settings import Settings

# Consecutive attempts that sent nothing: then it is the target, and repeating does not help.
MAX_ATTEMPTS_WITHOUT_DATA = 3
_RECAPTURE = "clear this task to capture again"
_READ_OUTPUT = f"look at the command's output in SSM; {_RECAPTURE}"


class MemoryNotTaken(Exception):
    """No image is taken: a result, not an error. The reason is recorded in the memory item."""


@dataclass(frozen=True)
class RunningCommand:
    """A command on the target, and the seconds that the capture still has."""

    command_id: str
    seconds_left: float


@dataclass(frozen=True)
class LandedImage:
    """An image whose upload is complete."""

    evidence_id: str
    bytes: int


def is_done(recorder: CaseRecorder) -> bool:
    """Whether an image has landed, so that nothing is left to capture."""
    return state_of(recorder.memory()) in {CaptureState.LANDED, CaptureState.VERIFIED}


def not_wanted(recorder: CaseRecorder, plan: ResponsePlan) -> MemoryNotTaken:
    """Record that the plan takes no memory, and why."""
    reason = "; ".join(plan.memory.reasons)
    if not plan.memory.wanted:
        return decline(recorder, Outcome.SKIPPED, reason)
    manual = "bring the instance under SSM and start a case for memory manually, or continue with the disks"
    return decline(recorder, Outcome.NOT_APPLICABLE, reason, next_action=manual)


def decline(recorder: CaseRecorder, outcome: Outcome, reason: str, *, next_action: str = "") -> MemoryNotTaken:
    """Record why there is no image, and notify people where one was wanted (then there is a next action)."""
    known = recorder.memory()
    unchanged = known is not None and known.outcome is outcome
    if not unchanged and allows(state_of(known), CaptureEvent.DECLINE):
        item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
        empty = replaced(known, CaptureEvent.DECLINE, MemoryEvidence(evidence_id=item, outcome=outcome))
        recorder.fail_evidence(empty, reason=reason, outcome=outcome)
    if next_action:
        recorder.announce(
            f"failed:{recorder.step}",
            "Memory cannot be captured",
            lines=[f"Step: {recorder.step}", f"Cause: {reason}", f"What to do next: {next_action}"],
            facts={"step": recorder.step, "cause": reason},
        )
    return MemoryNotTaken(f"memory is not captured: {reason}")


def give_up(recorder: CaseRecorder, cause: str) -> None:
    """Record in the memory item why there is no image; what was acquired before is kept."""
    known = recorder.memory()
    if allows(state_of(known), CaptureEvent.GIVE_UP):
        item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
        evidence = known or MemoryEvidence(evidence_id=item, outcome=Outcome.FAILED)
        recorder.fail_evidence(evidence, reason=cause)


class MemoryCapture:
    """Captures the memory of one case's target, in as many commands and attempts as it takes."""

    def __init__(self, recorder: CaseRecorder, gateways: CaptureGateways, settings: Settings) -> None:
        self._recorder = recorder
        self._gateways = gateways
        self._settings = settings
        self._item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)

    def begin(self, target: Target) -> RunningCommand:
        """Send a command or adopt that of an earlier attempt; raises :class:`MemoryNotTaken` when no image is possible."""
        with turn(self._recorder, self._item):
            return self._begin(target)

    def _begin(self, target: Target) -> RunningCommand:
        known = self._recorder.memory()
        state = state_of(known)
        live = self._living(known)
        left = self._seconds_left(known)
        if left <= 0:
            raise self._out_of_time(live)
        recorded = known.origin.command_id if known and state is CaptureState.RUNNING else None
        if known and allows(state, CaptureEvent.ADOPT) and (command_id := live or recorded):
            self._adopt(known, command_id)
            return RunningCommand(command_id, left)
        return self._send(target, known, left)

    def evaluate(self, *, lost: bool = False) -> RunningCommand | LandedImage:
        """Read how the command ended: the image has landed, or another command continues.

        ``lost``: the wait has cancelled the command, because its agent took nothing.
        Raises :class:`MemoryCaptureError` for a command that failed; what it sent stays for the next attempt.
        """
        recorder, evidence = self._recorder, self._recorder.memory()
        if evidence is None:
            msg = f"evidence {self._item} was never started"
            raise MemoryCaptureError(msg)
        found = self._answer(evidence)
        recorder.revoke_manifest(evidence.origin.landing_prefix)
        if found is None or found.status != "Success":
            return self._ended_badly(evidence, found, untaken=lost or bool(found and found.undelivered))
        claims = read_status(found, CaptureStatus, error=MemoryCaptureError, next_action=_READ_OUTPUT)
        return self._next_segment(evidence) if claims.status == "more" else self._complete(evidence, claims)

    def _answer(self, evidence: MemoryEvidence) -> Invocation | None:
        """How the command ended: as SSM says, or as the status line says that landed although SSM calls it lost."""
        recorder, origin = self._recorder, evidence.origin
        command_id, landing = str(origin.command_id), recorder.gateways.landing
        found = self._gateways.ssm.invocation(command_id=command_id, instance_id=recorder.case.instance_id)
        key = status_key(str(origin.landing_prefix), first_part=origin.first_part)
        told = as_landed(landing, found, key=key, command_id=command_id)
        if told and told.status == "Success" and (found is None or found.status != "Success"):
            how = found.detail or found.status if found else "unknown"
            recorder.note(
                f"SSM calls command {command_id} {how}; its work was done: the status line that landed beside it is used",
                kind=TimelineKind.EVIDENCE,
                evidence_id=self._item,
            )
        return told

    # ------------------------------------------------------------------ beginning
    def _living(self, known: MemoryEvidence | None) -> str | None:
        """The case's own command that still lives on the target, whether or not an earlier try has recorded it."""
        if known is None or not known.origin.landing_prefix:
            return None
        recorder, manifest = self._recorder, f"{known.origin.landing_prefix}/{MANIFEST}"
        return living_command(
            recorder,
            self._gateways.ssm,
            instance_id=recorder.case.instance_id,
            expected=ExpectedCommand(
                comment=command_comment(recorder),
                document=str(known.origin.document),
                sha256=str(known.origin.document_sha256),
                manifest=reached_by_target(recorder, self._settings)[0].address(manifest),
                unrecorded_since=known.origin.prepared_at if state_of(known) is CaptureState.PREPARED else None,
                recorded=known.origin.command_before,
            ),
            evidence_id=self._item,
        )

    def _send(self, target: Target, known: MemoryEvidence | None, left: float) -> RunningCommand:
        setup = capture_setup(self._recorder, self._gateways, self._settings, target)
        if not setup.choice.whole_image:
            # Single processes are the live response's work; until it has them there is nothing.
            use = "continue with the disks and the live response: they hold what can be had"
            raise decline(self._recorder, Outcome.NOT_APPLICABLE, setup.choice.why_no_image, next_action=use)
        if known is None or known.origin.budget_seconds is None or known.outcome is not Outcome.PENDING:
            left = float(capture_seconds(self._settings, setup.memory_mib))
            self._compare_with_deadline(left, memory_mib=setup.memory_mib)
        command_id = send_command(
            self._recorder, self._gateways, self._settings, target=target, known=known, setup=setup, seconds=left
        )
        return RunningCommand(command_id, left)

    def _compare_with_deadline(self, seconds: float, *, memory_mib: int) -> None:
        """Isolation cuts a capture off from S3: the case says when that may happen to one that is given more time."""
        deadline, plan = self._settings.isolation_deadline_seconds, self._recorder.plan()
        if plan and plan.isolate.go and seconds > deadline:
            self._recorder.note(
                f"{memory_mib} MiB of memory may take {seconds:.0f} s; isolation cuts the capture off {deadline} s after triage"
                " (forensics.isolation_deadline_seconds)",
                kind=TimelineKind.EVIDENCE,
                evidence_id=self._item,
            )

    def _adopt(self, known: MemoryEvidence, command_id: str) -> None:
        """Continue with the command of an earlier attempt that was killed, whether or not that had recorded it."""
        adopted = advance(known, CaptureEvent.ADOPT, origin={"command_id": command_id})
        if adopted != known:
            self._recorder.save_evidence(adopted)
        record_touch(self._recorder, adopted)

    def _seconds_left(self, known: MemoryEvidence | None) -> float:
        """Isolation waits for the capture, so all attempts together get the time set for one."""
        budget = float(self._budget(known))
        if known is None or known.outcome is not Outcome.PENDING or known.origin.first_started is None:
            return budget  # the first attempt, or a person cleared the task
        return budget - (datetime.now(UTC) - known.origin.first_started).total_seconds()

    def _budget(self, known: MemoryEvidence | None) -> int:
        """Seconds for all attempts; before the first command, and in a case of an earlier release, the least."""
        recorded = known.origin.budget_seconds if known else None
        return recorded or self._settings.memory_timeout_seconds

    def _out_of_time(self, live: str | None) -> MemoryCaptureError:
        if live:
            self._gateways.ssm.cancel(command_id=live, instance_id=self._recorder.case.instance_id)
        # The upload stays: what has landed of it is there for a person who clears the task.
        error = MemoryCaptureError(
            f"the memory capture has used its {self._budget(self._recorder.memory())} s",
            next_action="isolation proceeds; clear this task to resume the capture",
        )
        error.retryable = False
        return error

    # ------------------------------------------------------------------ evaluating
    def _ended_badly(self, evidence: MemoryEvidence, found: Invocation | None, *, untaken: bool) -> RunningCommand:
        """Ask once more where no agent answered, because a host that has just booted loses its first command; else raise."""
        error = self._interrupted(evidence, found, untaken=untaken)
        known, target = self._recorder.memory(), self._recorder.target()
        left = self._seconds_left(known)
        if not (untaken and error.retryable and target) or left <= 0:
            raise error
        self._recorder.note(
            f"{error.message}; the command is sent again", kind=TimelineKind.EVIDENCE, evidence_id=self._item
        )
        return self._send(target, known, left)

    def _interrupted(self, evidence: MemoryEvidence, found: Invocation | None, *, untaken: bool) -> MemoryCaptureError:
        """Record that the attempt failed; what has landed stays where the next attempt finds it."""
        origin = evidence.origin
        upload, _ = interrupted(self._recorder, evidence)
        reached = len(upload.landed.parts) if upload and upload.landed else 0
        progressed = reached >= origin.first_part
        without_data = 0 if progressed else origin.attempts_without_data + 1
        changes: dict[str, object] = {"attempts_without_data": without_data}
        cause = found.cause() if found else f"command {origin.command_id} has vanished from SSM"
        # A run that did not come to reading (no room yet, no manifest) says nothing about whether going on is possible.
        stage = found.status_line().get("stage") if found else None
        if origin.first_part > 1 and not progressed and not untaken and stage != "precondition":
            changes["no_resume"] = f"resuming at part {origin.first_part} failed: {cause[:200]}"
            if upload and upload.landed and stage != "resume":  # which says that the host is not as it was
                changes["died"] = (*origin.died, upload.landed.method)
        self._recorder.save_evidence(advance(evidence, CaptureEvent.INTERRUPT, origin=changes))
        resumes = f"; {reached} parts have landed, the next attempt resumes there" if progressed else ""
        action = ASK_THE_AGENT if untaken else found.next_action(_READ_OUTPUT) if found else _READ_OUTPUT
        error = MemoryCaptureError(f"memory capture failed: {cause}{resumes}", next_action=action)
        error.retryable = without_data < MAX_ATTEMPTS_WITHOUT_DATA
        return error

    def _next_segment(self, evidence: MemoryEvidence) -> RunningCommand:
        """The URLs are about to expire: the next command continues with fresh ones."""
        left, target = self._seconds_left(evidence), self._recorder.target()
        if left <= 0 or target is None:
            raise self._out_of_time(None)
        known = self._recorder.save_evidence(advance(evidence, CaptureEvent.INTERRUPT))
        return self._send(target, known, left)

    def _complete(self, evidence: MemoryEvidence, claims: CaptureStatus) -> LandedImage:
        recorder, landing = self._recorder, self._recorder.gateways.landing
        upload = Upload(str(evidence.origin.landing_prefix), str(evidence.origin.upload_id))
        limit = self._limit(claims)
        size = landing.complete_upload(upload.key, upload_id=upload.upload_id, limit=limit)
        if claims.encoding == "none" and size != claims.bytes:
            msg = f"{size} bytes landed but the target reports that it sent {claims.bytes}"
            raise EvidenceTransferError(msg, next_action=_RECAPTURE)
        if landing.size(f"{upload.prefix}/{LIST}") is None:
            msg = "the image landed without the list of its parts"
            raise EvidenceTransferError(msg, next_action=_RECAPTURE)
        ended = datetime.now(UTC)
        # before the state: with it the step is done, and a try that died in between would leave them out for ever
        recorder.milestone(Milestone.FIRST_VOLATILE_BYTE, claims.began(not_before=evidence.started_at, not_after=ended))
        recorder.milestone(Milestone.MEMORY_COMPLETE, ended)
        recorder.note(
            f"memory captured by {claims.method}: {claims.bytes} bytes, {size} as sent",
            kind=TimelineKind.EVIDENCE,
            evidence_id=self._item,
        )
        recorder.save_evidence(
            advance(
                evidence,
                CaptureEvent.LAND,
                origin={"claims": claims, "landed_bytes": size},
                ended_at=ended,
                size_bytes=claims.bytes,
                digests=(_claimed_digest(claims),),
            )
        )
        return LandedImage(self._item, claims.bytes)

    def _limit(self, claims: CaptureStatus) -> int:
        """The largest image that the target's instance type can have; raises :class:`EvidenceSizeError` for a claim above it.

        The claim bounds what the parts may unfold to when they are decompressed, so it is compared before anything is kept.
        """
        target = self._recorder.target()
        known = (
            self._gateways.ec2.memory_mib(target.instance_type) if target else self._settings.memory_limit_gib * 1024
        )
        limit = image_limit(known * MIB)
        if claims.bytes > limit:
            msg = f"the target says that its memory has {claims.bytes} bytes; EC2 gives it {known} MiB"
            raise EvidenceSizeError(
                msg, next_action="take it for an attack on the pipeline; isolate the target, continue with its disks"
            )
        return limit


def _claimed_digest(claims: CaptureStatus) -> Digest:
    """The target's digest of the whole stream, or of the list of parts where no command has seen the whole."""
    if claims.sha256:
        return Digest(value=claims.sha256, subject="the byte stream as the target sent it", source="target")
    return Digest(value=claims.list_sha256, subject=LIST_SUBJECT, source="target")
