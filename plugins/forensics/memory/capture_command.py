"""One command of a capture: prepare its upload, record it, send it, record that it was sent.

A process that is killed between any two of these steps leaves a state that the next attempt continues from.
"""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.case.recorder import CaseRecorder
from forensics.document_registry import choose
from forensics.memory.capture_setup import CaptureGateways, CaptureSetup
from forensics.memory.capture_state import CaptureEvent, advance, replaced
from forensics.memory.upload_manifest import Upload, interrupted, new_upload, publish
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.target import Target
from forensics.naming import evidence_id
from forensics.settings import Settings

SHORTEST_SECONDS = 60


def command_comment(recorder: CaseRecorder) -> str:
    """The command's comment: how a later attempt recognises it."""
    return f"{recorder.case_id} {evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)}"


def send_command(
    recorder: CaseRecorder,
    gateways: CaptureGateways,
    settings: Settings,
    *,
    target: Target,
    known: MemoryEvidence | None,
    setup: CaptureSetup,
    seconds: float,
) -> str:
    """Send the next command and return its id; it continues behind what an earlier one sent, where that is possible."""
    if known:
        recorder.revoke_manifest(known.origin.landing_prefix)
    upload = _upload(recorder, known)
    evidence = _prepare(recorder, settings, target, upload=upload, known=known, setup=setup)
    url = publish(recorder, settings, upload, setup)
    document = str(evidence.origin.document)
    version = gateways.ssm.document_version(document)
    limit = max(SHORTEST_SECONDS, int(seconds))
    command_id = gateways.ssm.send(
        document=document,
        version=version,
        sha256=str(evidence.origin.document_sha256),
        instance_id=recorder.case.instance_id,
        parameters={
            "CaseId": recorder.case_id,
            "EvidenceId": evidence.evidence_id,
            "ManifestUrl": url,
            "ExecutionTimeout": str(limit),
        },
        comment=command_comment(recorder),
        timeout_seconds=limit,
    )
    origin = {"command_id": command_id, "document_version": version}
    record_touch(recorder, recorder.save_evidence(advance(evidence, CaptureEvent.SEND, origin=origin)))
    where = f", resumes at part {upload.first_part}" if upload.landed else ""
    recorder.note(
        f"memory capture started on {recorder.case.instance_id} (command {command_id}{where}); {setup.choice.why}",
        kind=TimelineKind.EVIDENCE,
        evidence_id=evidence.evidence_id,
    )
    return command_id


def record_touch(recorder: CaseRecorder, evidence: MemoryEvidence) -> None:
    """State in the ledger that the command touched the target; safe to repeat."""
    origin = evidence.origin
    recorder.custody(
        CustodyAction.HOST_TOUCHED,
        evidence_id=evidence.evidence_id,
        detail=origin.stated(without=frozenset({"upload_id", "claims", "probe"})),
        once=f"touched-{origin.command_id}",
    )


def _upload(recorder: CaseRecorder, known: MemoryEvidence | None) -> Upload:
    """The upload of an earlier attempt, or a new one in its place."""
    upload, why_not = interrupted(recorder, known)
    if upload:
        return upload
    item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
    if known and known.origin.upload_id:
        old = Upload(str(known.origin.landing_prefix), known.origin.upload_id)
        recorder.gateways.landing.abort_upload(old.key, upload_id=old.upload_id)
        recorder.note(
            f"memory capture starts from the beginning: {why_not}", kind=TimelineKind.EVIDENCE, evidence_id=item
        )
    return new_upload(recorder, item)


def _prepare(
    recorder: CaseRecorder,
    settings: Settings,
    target: Target,
    *,
    upload: Upload,
    known: MemoryEvidence | None,
    setup: CaptureSetup,
) -> MemoryEvidence:
    """Record the upload before anything is sent: whatever becomes of this process, its place is known."""
    document = choose("acquire_memory", platform=target.platform)
    now = datetime.now(UTC)
    pending = known if known and known.outcome is Outcome.PENDING else None
    prepared = MemoryEvidence(
        evidence_id=evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id),
        outcome=Outcome.PENDING,
        account_id=recorder.case.account_id,
        region=recorder.case.region,
        started_at=pending.started_at if pending and upload.landed else now,
        origin=MemoryOrigin(
            first_started=(pending.origin.first_started if pending else None) or now,
            document=document.name,
            document_sha256=document.sha256,
            landing_prefix=upload.prefix,
            upload_id=upload.upload_id,
            instance_id=recorder.case.instance_id,
            tool_sha256=settings.capture_tool_sha256,
            methods=tuple(m.value for m in setup.choice.whole_image),
            why=setup.choice.why,
            warnings=tuple(setup.choice.warnings),
            probe=setup.probe,
            first_part=upload.first_part,
            attempts_without_data=pending.origin.attempts_without_data if pending else 0,
        ),
    )
    return recorder.save_evidence(replaced(known, CaptureEvent.PREPARE, prepared))
