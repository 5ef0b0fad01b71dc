"""One command of a capture: prepare its upload, record it, send it, record that it was sent.

A process that is killed between any two of these steps leaves a state that the next attempt continues from.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from forensics.aws.s3_landing import MANIFEST_FRESH
from forensics.case.recorder import CaseRecorder
from forensics.document_registry import choose
from forensics.errors import EvidenceTransferError
from forensics.memory.capture_setup import CaptureGateways, CaptureSetup, capture_seconds
from forensics.memory.capture_state import CaptureEvent, CaptureState, advance, replaced, state_of
from forensics.memory.method import WHOLE_IMAGE, RefusedMethod
from forensics.memory.upload_manifest import Upload, interrupted, new_upload, publish
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.status_lines import LARGEST_IMAGE
from forensics.models.target import Target
from forensics.naming import FOOTPRINT, evidence_id
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
    unsent = _prepared_only(known)
    if known and not unsent:
        recorder.revoke_manifest(known.origin.landing_prefix)
    upload = _upload(recorder, known)
    if upload.landed is None:
        setup = without_dead(setup, known)
    document = choose("acquire_memory", platform=target.platform)
    version = gateways.ssm.document_version(document.name, document.sha256)
    evidence = _prepare(recorder, settings, target, upload=upload, known=known, setup=setup, document_version=version)
    url = publish(recorder, settings, upload, setup, again=unsent)
    limit = max(SHORTEST_SECONDS, int(seconds))
    command_id = gateways.ssm.send(
        document=str(evidence.origin.document),
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
    sent = advance(evidence, CaptureEvent.SEND, origin={"command_id": command_id})
    record_touch(recorder, recorder.save_evidence(sent))
    return command_id


def _prepared_only(known: MemoryEvidence | None) -> bool:
    """Whether a try has prepared a command a moment ago and died before it sent it."""
    if known is None or state_of(known) is not CaptureState.PREPARED or known.origin.prepared_at is None:
        return False
    return datetime.now(UTC) - known.origin.prepared_at < MANIFEST_FRESH


def record_touch(recorder: CaseRecorder, evidence: MemoryEvidence) -> None:
    """State in timeline and ledger that the command touched the target; safe to repeat."""
    origin = evidence.origin
    where = f", resumes at part {origin.first_part}" if origin.first_part > 1 else ""
    recorder.note(
        f"memory capture started on {recorder.case.instance_id} (command {origin.command_id}{where}); {origin.why}",
        kind=TimelineKind.EVIDENCE,
        at=origin.prepared_at,  # said again by the next try, it is the same note
        evidence_id=evidence.evidence_id,
    )
    recorder.custody(
        CustodyAction.HOST_TOUCHED,
        evidence_id=evidence.evidence_id,
        detail={
            **origin.stated(without=frozenset({"upload_id", "claims", "probe", "prepared_at", "command_before"})),
            "footprint": FOOTPRINT,
        },
        once=f"touched-{origin.command_id}",
    )


def _upload(recorder: CaseRecorder, known: MemoryEvidence | None) -> Upload:
    """The upload of an earlier attempt, or a new one in its place."""
    upload, why_not = interrupted(recorder, known)
    if upload:
        return upload
    item = evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id)
    if known and known.origin.upload_id and _prepared_only(known) and not known.origin.no_resume:
        return Upload(str(known.origin.landing_prefix), known.origin.upload_id)
    if known and known.origin.upload_id:
        old = Upload(str(known.origin.landing_prefix), known.origin.upload_id)
        kept = _keep(recorder, old)
        recorder.note(
            f"memory capture starts from the beginning: {why_not}{kept}", kind=TimelineKind.EVIDENCE, evidence_id=item
        )
    return new_upload(recorder, item)


def _keep(recorder: CaseRecorder, old: Upload) -> str:
    """Make an object of the parts that landed, so that what cannot be continued is not lost; says where, or aborts the upload."""
    landing = recorder.gateways.landing
    if landing.part_sizes(old.key, upload_id=old.upload_id):
        try:
            size = landing.complete_upload(old.key, upload_id=old.upload_id, limit=LARGEST_IMAGE)
        except EvidenceTransferError:  # parts in the middle are missing: nothing that can be read in order
            landing.abort_upload(old.key, upload_id=old.upload_id)
            return ""
        return f"; what landed of the earlier attempt ({size} bytes) stays at s3://{landing.bucket}/{old.key}"
    landing.abort_upload(old.key, upload_id=old.upload_id)
    return ""


def without_dead(setup: CaptureSetup, known: MemoryEvidence | None) -> CaptureSetup:
    """The setup without methods that died in the middle and could not be continued, where another one is left."""
    died = frozenset(known.origin.died if known else ())
    others = tuple(m for m in setup.choice.methods if m.value not in died)
    if not died or not any(m in WHOLE_IMAGE for m in others):
        return setup
    why = "its capture died in the middle and could not be continued"
    refused = (
        *setup.choice.refused,
        *(RefusedMethod(method=m, reason=why) for m in setup.choice.methods if m not in others),
    )
    return replace(setup, choice=setup.choice.model_copy(update={"methods": others, "refused": refused}))


def _prepare(
    recorder: CaseRecorder,
    settings: Settings,
    target: Target,
    *,
    upload: Upload,
    known: MemoryEvidence | None,
    setup: CaptureSetup,
    document_version: str,
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
            prepared_at=now,
            command_before=(known.origin.command_id or known.origin.command_before) if known else None,
            first_started=(pending.origin.first_started if pending else None) or now,
            document=document.name,
            document_version=document_version,
            document_sha256=document.sha256,
            landing_prefix=upload.prefix,
            upload_id=upload.upload_id,
            instance_id=recorder.case.instance_id,
            tool_sha256=settings.capture_tool_sha256,
            budget_seconds=capture_seconds(settings, setup.memory_mib),
            methods=tuple(m.value for m in setup.choice.whole_image),
            why=setup.choice.why,
            warnings=tuple(setup.choice.warnings),
            probe=setup.probe,
            first_part=upload.first_part,
            died=pending.origin.died if pending else (),
            attempts_without_data=pending.origin.attempts_without_data if pending else 0,
        ),
    )
    return recorder.save_evidence(replaced(known, CaptureEvent.PREPARE, prepared))
