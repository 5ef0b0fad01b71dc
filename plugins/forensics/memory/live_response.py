"""Live response: what the running instance shows of itself, as one archive.

It leaves the instance while it is made, each class of items as an object of its own, the most short-lived first: a run that
is ended has lost its last class only. Their bytes one after the other are the archive.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from forensics import case_keys
from forensics.aws.s3 import StoredObject
from forensics.aws.s3_landing import MANIFEST_FRESH
from forensics.aws.ssm import ExpectedCommand, SsmGateway
from forensics.case.adoption import living_command, record_stored
from forensics.case.recorder import CaseRecorder
from forensics.case.status_line import read_status
from forensics.case.turns import turn
from forensics.document_registry import choose
from forensics.errors import (
    AcquisitionError,
    AwsError,
    DigestMismatchError,
    EvidenceSizeError,
    EvidenceTransferError,
    ForensicsError,
)
from forensics.manifest import MANIFEST, MIN_PART, render
from forensics.memory.capture_state import CaptureEvent, advance, allows, state_of
from forensics.memory.host_urls import reached_by_target
from forensics.memory.landed_archive import ARCHIVE, PARTS, joined, landed_sizes, part_key
from forensics.memory.landed_status import STATUS, as_landed, status_key
from forensics.memory.live_archive import LiveArchive, in_one_line
from forensics.memory.live_findings import read_live_response
from forensics.memory.second_opinion import offered_collectors, tell_what_was_hidden
from forensics.memory.upload_manifest import DELIVERY_SECONDS
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction
from forensics.models.evidence import Digest, EvidenceKind, LiveResponseEvidence, LiveResponseOrigin, Outcome
from forensics.models.status_lines import LARGEST_LIVE_RESPONSE, LiveResponseStatus
from forensics.models.target import Target
from forensics.naming import FOOTPRINT, evidence_id, evidence_key, first_pass_id
from forensics.printable import count
from forensics.settings import Settings

# The last item may begin at the last second and takes at most this long, and it is uploaded after that.
LAST_ITEM_SECONDS = 90
SHORTEST_SECONDS = 60  # of a collection whose credentials end soon
# The first pass: about a second before the capture begins, and no more than this on a host that is busy.
FIRST_SECONDS, FIRST_LIMIT = 20, 50
_READ_OUTPUT = "look at the command's output in SSM; clear this task"


class Pass(StrEnum):
    """Which live response: before the capture, the whole one, or single processes after a whole one had none."""

    FIRST = "first"
    WHOLE = "whole"
    PROCESSES = "processes"


class LiveResponse:
    """Takes one live response of a case's target.

    The whole one is an evidence item from its beginning, because the plan wants it. The others become one when they land.
    """

    def __init__(
        self, recorder: CaseRecorder, ssm: SsmGateway, settings: Settings, which: Pass = Pass.WHOLE, *, depth: str = ""
    ) -> None:
        self._recorder = recorder
        self._ssm = ssm
        self._settings = settings
        self._which = which
        self._depth = depth
        item = evidence_id(EvidenceKind.LIVE_RESPONSE, recorder.case.instance_id)
        first = first_pass_id(recorder.case.instance_id)
        self._item = {Pass.WHOLE: item, Pass.FIRST: first, Pass.PROCESSES: f"{item}-{which.value}"}[which]

    def known(self) -> LiveResponseEvidence | None:
        """The item as an earlier step left it."""
        if self._which is Pass.WHOLE:
            return self._recorder.live_response()
        return self._recorder.get(case_keys.LIVE_PASS + self._which.value, LiveResponseEvidence)

    def _save(self, evidence: LiveResponseEvidence) -> LiveResponseEvidence:
        if self._which is not Pass.WHOLE:
            self._recorder.put(case_keys.LIVE_PASS + self._which.value, evidence)
            if evidence.outcome is Outcome.PENDING:
                return evidence
        return self._recorder.save_evidence(evidence)

    # ------------------------------------------------------------------ sending
    def begin(self, target: Target) -> str:
        """The id of the command: that of an earlier attempt whose result has not been read, or a new one."""
        with turn(self._recorder, self._item):
            return self._begin(target)

    def _begin(self, target: Target) -> str:
        known = self.known()
        if known and known.outcome is Outcome.PENDING and not known.origin.attempt_failed:
            live = living_command(
                self._recorder,
                self._ssm,
                instance_id=self._recorder.case.instance_id,
                expected=ExpectedCommand(
                    comment=self._comment,
                    document=str(known.origin.document),
                    sha256=str(known.origin.document_sha256),
                    manifest=reached_by_target(self._recorder, self._settings)[0].address(
                        f"{known.origin.landing_prefix}/{MANIFEST}"
                    ),
                    unrecorded_since=None if known.origin.command_id else known.started_at,
                ),
                evidence_id=self._item,
            )
            if command_id := live or known.origin.command_id:
                if known.origin.command_id != command_id:
                    known = self._save(_changed(known, command_id=command_id))
                self._touched(known)
                return command_id
            if known.started_at and datetime.now(UTC) - known.started_at < MANIFEST_FRESH:
                return self._send(known, again=True)  # prepared, and its sender died: nobody has its manifest
        self._drop(known)
        return self._send(self._prepare(target))

    @property
    def _comment(self) -> str:
        return f"{self._recorder.case_id} {self._item}"

    def _drop(self, known: LiveResponseEvidence | None) -> None:
        """Remove the manifest and the upload of an earlier attempt: neither is of use any more."""
        if known and known.origin.landing_prefix:
            self._recorder.revoke_manifest(known.origin.landing_prefix)

    def _prepare(self, target: Target) -> LiveResponseEvidence:
        """Record where it lands: whatever becomes of this process, the manifest can be removed."""
        recorder, now = self._recorder, datetime.now(UTC)
        prefix = f"{recorder.case_id}/{self._item}/{now:%Y%m%dT%H%M%S%fZ}"
        document = choose("live_response", platform=target.platform)
        return self._save(
            LiveResponseEvidence(
                evidence_id=self._item,
                outcome=Outcome.PENDING,
                account_id=recorder.case.account_id,
                region=recorder.case.region,
                started_at=now,
                origin=LiveResponseOrigin(
                    document=document.name,
                    document_version=self._ssm.document_version(document.name, document.sha256),
                    document_sha256=document.sha256,
                    instance_id=recorder.case.instance_id,
                    landing_prefix=prefix,
                ),
            )
        )

    def _send(self, evidence: LiveResponseEvidence, *, again: bool = False) -> str:
        recorder, origin, seconds = self._recorder, evidence.origin, self._seconds()
        limit = FIRST_LIMIT if self._which is Pass.FIRST else seconds + LAST_ITEM_SECONDS
        command_id = self._ssm.send(
            document=str(origin.document),
            version=str(origin.document_version),
            sha256=str(origin.document_sha256),
            instance_id=recorder.case.instance_id,
            parameters={
                "CaseId": recorder.case_id,
                "EvidenceId": self._item,
                "ManifestUrl": self._publish(origin, again=again),
                "Depth": self._depth_of(origin),
                "Seconds": str(seconds),
                "ExecutionTimeout": str(limit),
            },
            comment=self._comment,
            timeout_seconds=limit,
        )
        self._touched(self._save(_changed(evidence, command_id=command_id)))
        return command_id

    def _touched(self, evidence: LiveResponseEvidence) -> None:
        """State in the ledger that the command touched the target; safe to repeat."""
        origin = evidence.origin
        self._recorder.custody(
            CustodyAction.HOST_TOUCHED,
            evidence_id=self._item,
            detail={**origin.stated(without=frozenset({"upload_id"})), "footprint": FOOTPRINT},
            once=f"touched-{origin.command_id}",
        )

    def _depth_of(self, origin: LiveResponseOrigin) -> str:
        if self._which is Pass.FIRST:
            return "first"
        if _of_windows(origin):
            return "standard"  # its document takes no process's memory
        has_image = state_of(self._recorder.memory()).has_image
        return self._depth or ("standard" if has_image else "processes")

    def _seconds(self) -> int:
        """How long the collection may take: its URLs must still open when the last item is uploaded."""
        if self._which is Pass.FIRST:
            return FIRST_SECONDS
        life = self._recorder.gateways.landing.url_life(self._settings.url_seconds)
        return max(SHORTEST_SECONDS, min(self._settings.live_response_seconds, life - 2 * LAST_ITEM_SECONDS))

    def _publish(self, origin: LiveResponseOrigin, *, again: bool) -> str:
        """Write the manifest and return its URL."""
        landing, tools = reached_by_target(self._recorder, self._settings)
        urls = [
            landing.put_url(part_key(str(origin.landing_prefix), number), seconds=self._settings.url_seconds)
            for number in range(1, PARTS + 1)
        ]
        status = landing.put_url(status_key(str(origin.landing_prefix)), seconds=self._settings.url_seconds)
        asks = self._which is not Pass.FIRST and not _of_windows(origin)
        gets = offered_collectors(tools, self._settings) if asks else {}
        manifest = render(gets=gets, puts={STATUS: status}, parts=urls, part_size=MIN_PART)
        place = f"{origin.landing_prefix}/{MANIFEST}"
        return landing.publish(place, text=manifest, seconds=DELIVERY_SECONDS + 120, again=again)

    # ------------------------------------------------------------------ evaluating
    def evaluate(self) -> LiveResponseEvidence:
        """Read how the command ended; the archive becomes evidence, or the next attempt sends a command of its own."""
        evidence = self.known()
        if evidence is None:
            msg = f"evidence {self._item} was never started"
            raise AcquisitionError(msg)
        self._recorder.revoke_manifest(evidence.origin.landing_prefix)
        try:
            claims, cause = self._claims(evidence)
            archive = LiveArchive()
            stored = self._store(evidence, claims, archive)
            problems = archive.problems(indexed=claims is not None)
            acquired = _acquired(evidence, claims, stored, shortfall=in_one_line([*cause, *problems]))
        except ForensicsError as error:
            if isinstance(error, AwsError) and error.retryable:
                raise  # the archive may have landed: the next attempt looks again without touching the host
            self._save(_changed(evidence, attempt_failed=True))
            raise
        self._record(acquired, claims)
        read_live_response(self._recorder, acquired)
        return acquired

    def _claims(self, evidence: LiveResponseEvidence) -> tuple[LiveResponseStatus | None, list[str]]:
        """What the target says of its archive; None, and why, for a run that was ended and of which parts have landed."""
        command_id = str(evidence.origin.command_id)
        answered = self._ssm.invocation(command_id=command_id, instance_id=self._recorder.case.instance_id)
        landing, key = self._recorder.gateways.landing, status_key(str(evidence.origin.landing_prefix))
        found = as_landed(landing, answered, key=key, command_id=command_id)
        if found is not None and found.status == "Success":
            return read_status(found, LiveResponseStatus, error=AcquisitionError, next_action=_READ_OUTPUT), []
        cause = found.cause() if found else f"command {command_id} has vanished from SSM"
        if landing.size(part_key(str(evidence.origin.landing_prefix), 1)) is None:
            action = found.next_action(_READ_OUTPUT) if found else _READ_OUTPUT
            raise AcquisitionError(f"live response failed: {cause}", next_action=action)
        return None, [f"the run was ended before its last part ({cause}); what had left the host before that is here"]

    def _store(
        self, evidence: LiveResponseEvidence, claims: LiveResponseStatus | None, archive: LiveArchive
    ) -> StoredObject:
        """Write the archive to the evidence store while it is read; raises :class:`DigestMismatchError`.

        Its size is that of the objects that S3 has: nothing larger than an archive can be is stored and locked.
        """
        gateways, prefix = self._recorder.gateways, str(evidence.origin.landing_prefix)
        sizes = landed_sizes(gateways.landing, prefix, most=claims.parts if claims else None)
        size = sum(sizes)
        if size > LARGEST_LIVE_RESPONSE:
            msg = f"{self._item}: {size} bytes landed, more than the {LARGEST_LIVE_RESPONSE} that it can have"
            raise EvidenceSizeError(msg, next_action="take it for an attack on the pipeline; continue with the disks")
        if claims and size != claims.bytes:
            msg = f"{self._item}: {size} bytes landed, the target reports that it sent {claims.bytes}"
            raise EvidenceTransferError(msg, next_action="clear this task to collect again")
        name = f"{prefix.rsplit('/', 1)[1]}/{ARCHIVE}"
        key = evidence_key(self._recorder.case_id, EvidenceKind.LIVE_RESPONSE, item=self._item, name=name)
        stored = gateways.evidence.put_stream(key, archive.through(joined(gateways.landing, prefix, sizes)))
        record_stored(self._recorder, stored, evidence_id=self._item)
        if claims and claims.sha256 and stored.sha256 != claims.sha256:
            msg = f"{self._item}: the stored object's SHA-256 is {stored.sha256}, the target reports {claims.sha256}"
            raise DigestMismatchError(msg)
        return stored

    def _record(self, evidence: LiveResponseEvidence, claims: LiveResponseStatus | None) -> None:
        recorder, attempt = self._recorder, evidence.origin.landing_prefix
        detail = {
            "uri": evidence.uri,
            "version_id": evidence.version_id,
            "bytes": evidence.size_bytes,
            "sha256": evidence.digests[-1].value,
            "outcome": evidence.outcome.value,
        }
        # The state last: with it the step is done, and a try that died before it says everything again, each of it once.
        recorder.custody(
            CustodyAction.EVIDENCE_ACQUIRED, evidence_id=self._item, once=f"acquired-{attempt}", detail=detail
        )
        recorder.custody(
            CustodyAction.EVIDENCE_LOCKED, evidence_id=self._item, once=f"locked-{attempt}", detail=dict(evidence.lock)
        )
        items = f"{count(claims.items, 'item')}" if claims else "the parts that landed"
        remark = evidence.reason or (claims.reason if claims else "")
        what = f"live response taken: {items}, {evidence.size_bytes} bytes" + (f"; {remark}" if remark else "")
        recorder.note(what, kind=TimelineKind.EVIDENCE, evidence_id=self._item)
        tell_what_was_hidden(recorder, claims, evidence_id=self._item)
        if claims and claims.depth == "processes":
            record_processes(recorder, evidence, images=claims.process_images)
        self._save(evidence)


def settle(recorder: CaseRecorder, ssm: SsmGateway, settings: Settings) -> None:
    """Make evidence of the first pass when its command has ended; safe to repeat. What it lacks holds nothing back."""
    first = LiveResponse(recorder, ssm, settings, Pass.FIRST)
    known = first.known()
    if known is not None and known.outcome is not Outcome.PENDING:
        read_live_response(recorder, known)
    if known is None or known.outcome is not Outcome.PENDING or known.origin.attempt_failed:
        return
    command_id = known.origin.command_id
    found = ssm.invocation(command_id=command_id, instance_id=recorder.case.instance_id) if command_id else None
    if found is not None and not found.finished:
        return
    try:
        first.evaluate()
    except ForensicsError as error:
        recorder.note(f"the first pass of the live response is missing: {error}", kind=TimelineKind.EVIDENCE)


def lacks_processes(recorder: CaseRecorder) -> bool:
    """Whether the live response was taken while an image of all memory was still expected, and then there was none."""
    known, memory = recorder.live_response(), recorder.memory()
    if known is None:
        return False
    claims = known.origin.claims
    return (
        known.outcome in {Outcome.ACQUIRED, Outcome.PARTIAL}
        and claims is not None
        and claims.depth == "standard"
        and not _of_windows(known.origin)
        and memory is not None
        and allows(state_of(memory), CaptureEvent.TAKE_PROCESSES)
    )


def _of_windows(origin: LiveResponseOrigin) -> bool:
    return str(origin.document).endswith("_windows")


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


def _acquired(
    evidence: LiveResponseEvidence, claims: LiveResponseStatus | None, stored: StoredObject, *, shortfall: str
) -> LiveResponseEvidence:
    said = claims.reason if claims and claims.status != "ok" else ""
    reason = "; ".join(text for text in (said, shortfall) if text)[:1000]
    digests = [Digest(value=stored.sha256, subject="the stored object, all bytes", source="control-plane")]
    if claims and claims.sha256:
        digests.insert(0, Digest(value=claims.sha256, subject="the byte stream as the target sent it", source="target"))
    return _changed(evidence, format="tar", claims=claims).model_copy(
        update={
            "outcome": Outcome.PARTIAL if reason or claims is None or claims.status != "ok" else Outcome.ACQUIRED,
            "reason": reason or None,
            "uri": stored.uri,
            "version_id": stored.version_id,
            "size_bytes": stored.size_bytes,
            "digests": tuple(digests),
            "ended_at": datetime.now(UTC),
            "lock": {"mode": stored.lock_mode, "until": stored.locked_until.isoformat()},
        }
    )
