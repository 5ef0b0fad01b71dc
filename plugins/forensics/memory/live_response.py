"""Live response: what the running instance shows of itself, as one archive through presigned part URLs."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.aws.s3 import StoredObject
from forensics.aws.ssm import SsmGateway
from forensics.case.recorder import CaseRecorder
from forensics.case.status_line import read_status
from forensics.document_registry import choose
from forensics.errors import (
    AcquisitionError,
    AwsError,
    DigestMismatchError,
    EvidenceTransferError,
    ForensicsError,
)
from forensics.manifest import MANIFEST, MIN_PART, render
from forensics.memory.capture_state import CaptureEvent, advance, allows, state_of
from forensics.memory.landed_status import STATUS, as_landed, status_key
from forensics.memory.upload_manifest import DELIVERY_SECONDS
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, EvidenceKind, LiveResponseEvidence, LiveResponseOrigin, Outcome
from forensics.models.status_lines import LARGEST_LIVE_RESPONSE, LiveResponseStatus
from forensics.models.target import Target
from forensics.naming import evidence_id, evidence_key
from forensics.settings import Settings

ARCHIVE = "live-response.tar"
# The archive is bounded to this size on the target already.
PARTS = LARGEST_LIVE_RESPONSE // MIN_PART
# The last item may begin at the last second and takes at most this long, and it is uploaded after that.
LAST_ITEM_SECONDS = 90
SHORTEST_SECONDS = 60  # of a collection whose credentials end soon
_READ_OUTPUT = "look at the command's output in SSM; clear this task"


class LiveResponse:
    """Takes the live response of one case's target."""

    def __init__(self, recorder: CaseRecorder, ssm: SsmGateway, settings: Settings) -> None:
        self._recorder = recorder
        self._ssm = ssm
        self._settings = settings
        self._item = evidence_id(EvidenceKind.LIVE_RESPONSE, recorder.case.instance_id)

    # ------------------------------------------------------------------ sending
    def begin(self, target: Target) -> str:
        """The id of the command: that of an earlier attempt whose result has not been read, or a new one."""
        known = self._recorder.live_response()
        if known and known.outcome is Outcome.PENDING and not known.origin.attempt_failed:
            live = self._ssm.find_command(instance_id=self._recorder.case.instance_id, comment=self._comment)
            if command_id := live or known.origin.command_id:
                if known.origin.command_id != command_id:
                    self._recorder.save_evidence(_changed(known, command_id=command_id))
                return command_id
        self._drop(known)
        return self._send(self._prepare(target))

    @property
    def _comment(self) -> str:
        return f"{self._recorder.case_id} {self._item}"

    def _drop(self, known: LiveResponseEvidence | None) -> None:
        """Remove the manifest and the upload of an earlier attempt: neither is of use any more."""
        if known and known.origin.landing_prefix:
            self._recorder.revoke_manifest(known.origin.landing_prefix)
            self._abort(known)

    def _abort(self, evidence: LiveResponseEvidence) -> None:
        key = f"{evidence.origin.landing_prefix}/{ARCHIVE}"
        self._recorder.gateways.landing.abort_upload(key, upload_id=str(evidence.origin.upload_id))

    def _prepare(self, target: Target) -> LiveResponseEvidence:
        """Start the upload and record it: whatever becomes of this process, the manifest can be removed."""
        recorder, now = self._recorder, datetime.now(UTC)
        prefix = f"{recorder.case_id}/{self._item}/{now:%Y%m%dT%H%M%S%fZ}"
        upload_id = recorder.gateways.landing.start_upload(f"{prefix}/{ARCHIVE}")
        document = choose("live_response", platform=target.platform)
        return recorder.save_evidence(
            LiveResponseEvidence(
                evidence_id=self._item,
                outcome=Outcome.PENDING,
                account_id=recorder.case.account_id,
                region=recorder.case.region,
                started_at=now,
                origin=LiveResponseOrigin(
                    document=document.name,
                    document_version=self._ssm.document_version(document.name),
                    document_sha256=document.sha256,
                    instance_id=recorder.case.instance_id,
                    landing_prefix=prefix,
                    upload_id=upload_id,
                ),
            )
        )

    def _send(self, evidence: LiveResponseEvidence) -> str:
        recorder, origin, seconds = self._recorder, evidence.origin, self._seconds()
        has_image = state_of(recorder.memory()).has_image
        command_id = self._ssm.send(
            document=str(origin.document),
            version=str(origin.document_version),
            sha256=str(origin.document_sha256),
            instance_id=recorder.case.instance_id,
            parameters={
                "CaseId": recorder.case_id,
                "EvidenceId": self._item,
                "ManifestUrl": self._publish(origin),
                "Depth": "standard" if has_image else "processes",
                "Seconds": str(seconds),
                "ExecutionTimeout": str(seconds + LAST_ITEM_SECONDS),
            },
            comment=self._comment,
            timeout_seconds=seconds + LAST_ITEM_SECONDS,
        )
        recorder.save_evidence(_changed(evidence, command_id=command_id))
        recorder.custody(
            CustodyAction.HOST_TOUCHED,
            evidence_id=self._item,
            detail={**origin.stated(without=frozenset({"upload_id"})), "command_id": command_id},
            once=f"touched-{command_id}",
        )
        return command_id

    def _seconds(self) -> int:
        """How long the collection may take: its URLs must still open when the last item is uploaded."""
        life = self._recorder.gateways.landing.url_life(self._settings.url_seconds)
        return max(SHORTEST_SECONDS, min(self._settings.live_response_seconds, life - 2 * LAST_ITEM_SECONDS))

    def _publish(self, origin: LiveResponseOrigin) -> str:
        """Write the manifest and return its URL."""
        landing = self._recorder.gateways.landing
        urls = landing.part_urls(
            f"{origin.landing_prefix}/{ARCHIVE}",
            upload_id=str(origin.upload_id),
            count=PARTS,
            seconds=self._settings.url_seconds,
        )
        status = landing.put_url(status_key(str(origin.landing_prefix)), seconds=self._settings.url_seconds)
        manifest = render(puts={STATUS: status}, parts=urls, part_size=MIN_PART)
        return landing.publish(f"{origin.landing_prefix}/{MANIFEST}", text=manifest, seconds=DELIVERY_SECONDS + 120)

    # ------------------------------------------------------------------ evaluating
    def evaluate(self) -> LiveResponseEvidence:
        """Read how the command ended; the archive becomes evidence, or the next attempt sends a command of its own."""
        evidence = self._recorder.live_response()
        if evidence is None:
            msg = f"evidence {self._item} was never started"
            raise AcquisitionError(msg)
        self._recorder.revoke_manifest(evidence.origin.landing_prefix)
        try:
            claims = self._claims(evidence)
            acquired = _acquired(evidence, claims, self._store(evidence, claims))
        except ForensicsError as error:
            if isinstance(error, AwsError) and error.retryable:
                raise  # the archive may have landed: the next attempt looks again without touching the host
            self._recorder.save_evidence(_changed(evidence, attempt_failed=True))
            raise
        self._record(acquired, claims)
        return acquired

    def _claims(self, evidence: LiveResponseEvidence) -> LiveResponseStatus:
        command_id = str(evidence.origin.command_id)
        answered = self._ssm.invocation(command_id=command_id, instance_id=self._recorder.case.instance_id)
        landing, key = self._recorder.gateways.landing, status_key(str(evidence.origin.landing_prefix))
        found = as_landed(landing, answered, key=key, command_id=command_id)
        if found is None or found.status != "Success":
            self._abort(evidence)
            cause = found.cause() if found else f"command {command_id} has vanished from SSM"
            action = found.next_action(_READ_OUTPUT) if found else _READ_OUTPUT
            raise AcquisitionError(f"live response failed: {cause}", next_action=action)
        return read_status(found, LiveResponseStatus, error=AcquisitionError, next_action=_READ_OUTPUT)

    def _store(self, evidence: LiveResponseEvidence, claims: LiveResponseStatus) -> StoredObject:
        """Complete the upload and write the archive to the evidence store; raises :class:`DigestMismatchError`.

        Its size is that of S3's own list of parts: nothing larger than an archive can be is stored and locked.
        """
        gateways, prefix = self._recorder.gateways, str(evidence.origin.landing_prefix)
        size = gateways.landing.complete_upload(
            f"{prefix}/{ARCHIVE}", upload_id=str(evidence.origin.upload_id), limit=LARGEST_LIVE_RESPONSE
        )
        if size != claims.bytes:
            msg = f"{self._item}: {size} bytes landed, the target reports that it sent {claims.bytes}"
            raise EvidenceTransferError(msg, next_action="clear this task to collect again")
        name = f"{prefix.rsplit('/', 1)[1]}/{ARCHIVE}"
        key = evidence_key(self._recorder.case_id, EvidenceKind.LIVE_RESPONSE, item=self._item, name=name)
        stored = gateways.evidence.put_stream(key, gateways.landing.stream(f"{prefix}/{ARCHIVE}"))
        if stored.sha256 != claims.sha256:
            msg = f"{self._item}: the stored object's SHA-256 is {stored.sha256}, the target reports {claims.sha256}"
            raise DigestMismatchError(msg)
        return stored

    def _record(self, evidence: LiveResponseEvidence, claims: LiveResponseStatus) -> None:
        recorder, attempt = self._recorder, evidence.origin.landing_prefix
        detail = {
            "uri": evidence.uri,
            "version_id": evidence.version_id,
            "bytes": evidence.size_bytes,
            "sha256": evidence.digests[-1].value,
            "outcome": evidence.outcome.value,
        }
        # The ledger first: a kill between the two repeats the step, and `once` keeps the ledger free of duplicates.
        recorder.custody(
            CustodyAction.EVIDENCE_ACQUIRED, evidence_id=self._item, once=f"acquired-{attempt}", detail=detail
        )
        recorder.custody(
            CustodyAction.EVIDENCE_LOCKED, evidence_id=self._item, once=f"locked-{attempt}", detail=dict(evidence.lock)
        )
        recorder.save_evidence(evidence)
        what = f"live response taken: {claims.items} items, {evidence.size_bytes} bytes"
        shortfall = f"; {evidence.reason}" if evidence.reason else ""
        recorder.note(what + shortfall, kind=TimelineKind.EVIDENCE, evidence_id=self._item)
        if claims.depth == "processes":
            record_processes(recorder, evidence, images=claims.process_images)


def record_processes(recorder: CaseRecorder, live: LiveResponseEvidence, *, images: int) -> None:
    """Record in the memory item that single processes were taken: more than nothing and less than an image."""
    memory = recorder.memory()
    if memory is None or not allows(state_of(memory), CaptureEvent.TAKE_PROCESSES):
        return
    reason = f"{memory.reason or 'no image'}; {images} suspicious processes are in {live.evidence_id} instead"[:1000]
    recorder.save_evidence(advance(memory, CaptureEvent.TAKE_PROCESSES, reason=reason))
    recorder.custody(
        CustodyAction.EVIDENCE_FAILED,
        evidence_id=memory.evidence_id,
        detail={"outcome": Outcome.PARTIAL.value, "reason": reason},
        once=f"processes-{live.origin.landing_prefix}",
    )


def give_up(recorder: CaseRecorder, cause: str) -> None:
    """Record in the live response's item why there is no archive."""
    item = evidence_id(EvidenceKind.LIVE_RESPONSE, recorder.case.instance_id)
    evidence = recorder.live_response() or LiveResponseEvidence(evidence_id=item, outcome=Outcome.FAILED)
    if evidence.outcome is not Outcome.ACQUIRED:
        recorder.fail_evidence(evidence, reason=cause)


def _changed(evidence: LiveResponseEvidence, **origin: object) -> LiveResponseEvidence:
    return evidence.model_copy(update={"origin": evidence.origin.model_copy(update=origin)})


def _acquired(evidence: LiveResponseEvidence, claims: LiveResponseStatus, stored: StoredObject) -> LiveResponseEvidence:
    complete = claims.status == "ok"
    return _changed(evidence, format="tar", claims=claims).model_copy(
        update={
            "outcome": Outcome.ACQUIRED if complete else Outcome.PARTIAL,
            "reason": None if complete else claims.reason,
            "uri": stored.uri,
            "version_id": stored.version_id,
            "size_bytes": stored.size_bytes,
            "digests": (
                Digest(value=claims.sha256, subject="the byte stream as the target sent it", source="target"),
                Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane"),
            ),
            "ended_at": datetime.now(UTC),
            "lock": {"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
        }
    )
