"""Live response: what the running instance shows of itself, right after its memory (R79, R81)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.recorder import CaseRecorder
from forensics.case.status_line import read_status
from forensics.case.step import ForensicOperator, Json
from forensics.document_registry import choose
from forensics.errors import AcquisitionError, AwsError, DigestMismatchError, ForensicsError
from forensics.manifest import MANIFEST, MIN_PART, render
from forensics.memory.upload_manifest import DELIVERY_SECONDS
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, EvidenceKind, LiveResponseEvidence, LiveResponseOrigin, Outcome
from forensics.models.status_lines import LARGEST_LIVE_RESPONSE, LiveResponseStatus
from forensics.naming import evidence_id, evidence_key

ARCHIVE = "live-response.tar"
# The archive is bounded to this size on the target already.
PARTS = LARGEST_LIVE_RESPONSE // MIN_PART
# The last item may begin at the last second and takes at most this long, and it is uploaded after that.
LAST_ITEM_SECONDS = 90
_NEXT = "look at the command's output in SSM; clear this task"


class LiveResponseOperator(ForensicOperator):
    """Take processes, connections, users, mounts, modules, containers and packages as one archive.

    It runs when the memory capture has ended, whatever its outcome, and before isolation. Where no image of all memory
    could be had it also takes the suspicious processes' programs and memory, and the memory item says so.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Send the command and wait for it; a command of an earlier try is taken up."""
        plan, target = recorder.plan(), recorder.target()
        if plan is None or target is None or not plan.memory.go:
            msg = "nothing is run on the target in this case"
            raise AirflowSkipException(msg)
        item = evidence_id(EvidenceKind.LIVE_RESPONSE, recorder.case.instance_id)
        known = recorder.live_response()
        if known and known.outcome in {Outcome.ACQUIRED, Outcome.PARTIAL}:
            return {"evidence_id": item, "already": True}
        account = self.sessions.target("acquire")
        comment = f"{recorder.case_id} {item}"
        command_id = SsmGateway.of(account).find_command(instance_id=recorder.case.instance_id, comment=comment)
        if known and known.outcome is Outcome.PENDING and not known.origin.attempt_failed:
            # An earlier try's: running, or ended and not yet looked at.
            command_id = command_id or known.origin.command_id
            if command_id and known.origin.command_id != command_id:
                recorder.save_evidence(
                    known.model_copy(update={"origin": known.origin.model_copy(update={"command_id": command_id})})
                )
        else:
            command_id = None
        if not command_id:
            self._forget(recorder, known)
            command_id = self._send(recorder, item, platform=target.platform, comment=comment)
        seconds = self.settings.live_response_seconds + LAST_ITEM_SECONDS + DELIVERY_SECONDS
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=self.sessions.target_scope("acquire").as_dict(),
                commands=[[command_id, recorder.case.instance_id]],
                **self.timing(seconds),
            )
        )
        return None

    def _forget(self, recorder: CaseRecorder, known: LiveResponseEvidence | None) -> None:
        """What an earlier try offered and was sent is of no more use."""
        if known and known.origin.landing_prefix:
            prefix = known.origin.landing_prefix
            recorder.gateways.landing.withdraw(prefix)
            recorder.gateways.landing.abort_upload(f"{prefix}/{ARCHIVE}", upload_id=str(known.origin.upload_id))

    def _send(self, recorder: CaseRecorder, item: str, *, platform: str, comment: str) -> str:
        settings, landing = self.settings, recorder.gateways.landing
        ssm = SsmGateway.of(self.sessions.target("acquire"))
        prefix = f"{recorder.case_id}/{item}/{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        key = f"{prefix}/{ARCHIVE}"
        upload_id = landing.start_upload(key)
        document = choose("live_response", platform=platform)
        version = ssm.document_version(document.name)
        origin = LiveResponseOrigin(
            document=document.name,
            document_version=version,
            document_sha256=document.sha256,
            instance_id=recorder.case.instance_id,
            landing_prefix=prefix,
            upload_id=upload_id,
        )
        evidence = LiveResponseEvidence(
            evidence_id=item,
            outcome=Outcome.PENDING,
            account_id=recorder.case.account_id,
            region=recorder.case.region,
            started_at=datetime.now(UTC),
            origin=origin,
        )
        # Written down first: whatever becomes of this process, the manifest's place is known and it is withdrawn.
        recorder.save_evidence(evidence)
        urls = landing.part_urls(key, upload_id=upload_id, count=PARTS, seconds=settings.url_seconds)
        manifest = render(parts=urls, part_size=MIN_PART)
        url = landing.publish(f"{prefix}/{MANIFEST}", text=manifest, seconds=DELIVERY_SECONDS + 120)
        seconds = settings.live_response_seconds
        command_id = ssm.send(
            document=document.name,
            version=version,
            sha256=document.sha256,
            instance_id=recorder.case.instance_id,
            parameters={
                "CaseId": recorder.case_id,
                "EvidenceId": item,
                "ManifestUrl": url,
                "Depth": "standard" if _whole_image(recorder) else "processes",
                "Seconds": str(seconds),
                "ExecutionTimeout": str(seconds + LAST_ITEM_SECONDS),
            },
            comment=comment,
            timeout_seconds=seconds + LAST_ITEM_SECONDS,
        )
        recorder.save_evidence(
            evidence.model_copy(update={"origin": origin.model_copy(update={"command_id": command_id})})
        )
        touched = origin.stated(without=frozenset({"upload_id"}))
        recorder.custody(
            CustodyAction.HOST_TOUCHED,
            evidence_id=item,
            detail={**touched, "command_id": command_id},
            once=f"touched-{command_id}",
        )
        return command_id

    def resume(self, recorder: CaseRecorder, payload: dict[str, Any], context: Context) -> Json:
        """Read how the command ended; hash what landed and write it to the evidence store."""
        item = evidence_id(EvidenceKind.LIVE_RESPONSE, recorder.case.instance_id)
        evidence = recorder.live_response()
        if evidence is None:
            msg = f"evidence {item} was never started"
            raise AcquisitionError(msg)
        recorder.gateways.landing.withdraw(str(evidence.origin.landing_prefix))
        try:
            return self._take_over(recorder, evidence)
        except ForensicsError as error:
            if isinstance(error, AwsError) and error.retryable:
                raise  # the archive may have landed: the next try looks again, the host is not touched a second time
            # Judged: the next try sends a command of its own.
            recorder.save_evidence(
                evidence.model_copy(update={"origin": evidence.origin.model_copy(update={"attempt_failed": True})})
            )
            raise

    def _take_over(self, recorder: CaseRecorder, evidence: LiveResponseEvidence) -> Json:
        item, prefix = evidence.evidence_id, str(evidence.origin.landing_prefix)
        ssm = SsmGateway.of(self.sessions.target("acquire"))
        found = ssm.invocation(command_id=str(evidence.origin.command_id), instance_id=recorder.case.instance_id)
        if found is None or found.status != "Success":
            recorder.gateways.landing.abort_upload(f"{prefix}/{ARCHIVE}", upload_id=str(evidence.origin.upload_id))
            cause = found.cause() if found else f"command {evidence.origin.command_id} has vanished from SSM"
            raise AcquisitionError(f"live response failed: {cause}", next_action=_NEXT)
        claims = read_status(found, LiveResponseStatus, error=AcquisitionError, next_action=_NEXT)
        recorder.gateways.landing.complete_upload(f"{prefix}/{ARCHIVE}", upload_id=str(evidence.origin.upload_id))
        key = evidence_key(
            recorder.case_id, EvidenceKind.LIVE_RESPONSE, item=item, name=f"{prefix.rsplit('/', 1)[1]}/{ARCHIVE}"
        )
        stored = recorder.gateways.evidence.put_stream(key, recorder.gateways.landing.stream(f"{prefix}/{ARCHIVE}"))
        if stored.sha256 != claims.sha256:
            msg = f"{item}: the stored object's SHA-256 is {stored.sha256}, the target computed {claims.sha256}"
            raise DigestMismatchError(msg)
        whole = claims.status == "ok"
        acquired = evidence.model_copy(
            update={
                "outcome": Outcome.ACQUIRED if whole else Outcome.PARTIAL,
                "reason": None if whole else claims.reason,
                "uri": stored.uri,
                "version_id": stored.version_id,
                "size_bytes": stored.size_bytes,
                "digests": (
                    Digest(value=claims.sha256, subject="the byte stream as the target sent it", source="target"),
                    Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane"),
                ),
                "ended_at": datetime.now(UTC),
                "lock": {"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
                "origin": evidence.origin.model_copy(update={"format": "tar", "claims": claims}),
            }
        )
        self._record(recorder, acquired, claims)
        return {"evidence_id": item, "outcome": acquired.outcome.value, "sha256": stored.sha256}

    def _record(self, recorder: CaseRecorder, evidence: LiveResponseEvidence, claims: LiveResponseStatus) -> None:
        item, attempt = evidence.evidence_id, evidence.origin.landing_prefix
        detail = {
            "uri": evidence.uri,
            "version_id": evidence.version_id,
            "bytes": evidence.size_bytes,
            "sha256": evidence.digests[-1].value,
            "outcome": evidence.outcome.value,
        }
        recorder.custody(CustodyAction.EVIDENCE_ACQUIRED, evidence_id=item, once=f"acquired-{attempt}", detail=detail)
        recorder.custody(
            CustodyAction.EVIDENCE_LOCKED, evidence_id=item, once=f"locked-{attempt}", detail=dict(evidence.lock)
        )
        recorder.save_evidence(evidence)
        said = f"live response taken: {claims.items} items, {evidence.size_bytes} bytes"
        cut = f"; {evidence.reason}" if evidence.reason else ""
        recorder.note(said + cut, kind=TimelineKind.EVIDENCE, evidence_id=item)
        if claims.depth == "processes":
            self._instead_of_an_image(recorder, evidence, images=claims.process_images)

    def _instead_of_an_image(self, recorder: CaseRecorder, live: LiveResponseEvidence, *, images: int) -> None:
        """The memory item's verdict: single processes are more than nothing and less than an image."""
        memory = recorder.memory()
        if memory is None or memory.outcome in {Outcome.ACQUIRED, Outcome.PARTIAL, Outcome.PENDING}:
            return
        reason = f"{memory.reason or 'no image'}; {images} suspicious processes are in {live.evidence_id} instead"
        recorder.save_evidence(memory.model_copy(update={"outcome": Outcome.PARTIAL, "reason": reason[:1000]}))
        detail = {"outcome": Outcome.PARTIAL.value, "reason": reason[:1000]}
        recorder.custody(
            CustodyAction.EVIDENCE_FAILED,
            evidence_id=memory.evidence_id,
            detail=detail,
            once=f"processes-{live.origin.landing_prefix}",
        )

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A wait that failed is a failed live response."""
        return AcquisitionError(f"live response: {cause}", next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The evidence item says why there is no archive."""
        item = evidence_id(EvidenceKind.LIVE_RESPONSE, recorder.case.instance_id)
        evidence = recorder.live_response() or LiveResponseEvidence(evidence_id=item, outcome=Outcome.FAILED)
        if evidence.outcome is not Outcome.ACQUIRED:
            recorder.fail_evidence(evidence, reason=cause)


def _whole_image(recorder: CaseRecorder) -> bool:
    """Whether an image of all memory has landed (it may still be under verification)."""
    memory = recorder.memory()
    return memory is not None and memory.origin.claims is not None
