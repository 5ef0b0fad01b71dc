"""Digest of each acquired disk, without mounting it, through the EBS direct APIs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Self

from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.aws.hook import CaseSessions
from forensics.aws.s3 import StoredObject
from forensics.case.recorder import CaseRecorder
from forensics.custody.chain import canonical
from forensics.disk.image import SUBJECT, DiskDigest, digest_document
from forensics.disk.snapshot_reader import BlockSink, Heartbeat, ReadProgress, SnapshotReader
from forensics.errors import AccessDeniedError, DigestMismatchError, ForensicsError, ResourceGoneError, SnapshotError
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.evidence import BlockManifest, Digest, DiskEvidence, EvidenceKind, Outcome
from forensics.naming import evidence_key
from forensics.settings import Settings

log = logging.getLogger(__name__)


def hashable(recorder: CaseRecorder) -> list[DiskEvidence]:
    """The acquired disks that have a copy."""
    return [e for e in recorder.disks() if e.outcome is Outcome.ACQUIRED and e.origin.copy_id]


class DiskDigests:
    """Hashes copies and originals, compares the two and records the result.

    :param copies: opens the forensic account's EBS direct APIs in a Region
    :param originals: opens those of the target's account
    :param heartbeat: called with a line of text as a read proceeds
    """

    def __init__(
        self,
        recorder: CaseRecorder,
        settings: Settings,
        *,
        copies: Callable[[str], EbsDirectGateway],
        originals: Callable[[], EbsDirectGateway],
        heartbeat: Heartbeat = log.info,
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._copies = copies
        self._originals = originals
        self._heartbeat = heartbeat

    @classmethod
    def of(cls, recorder: CaseRecorder, sessions: CaseSessions) -> Self:
        """The digests of a case under its own sessions."""
        return cls(
            recorder,
            sessions.settings,
            copies=lambda region: EbsDirectGateway.of(sessions.forensic(region=region)),
            originals=lambda: EbsDirectGateway.of(sessions.target("acquire")),
        )

    def digest_all(self, items: list[DiskEvidence]) -> dict[str, str]:
        """SHA-256 of each disk's raw image, by evidence id.

        Raises :class:`DigestMismatchError` at once when copy and original differ, :class:`SnapshotError` at the end when
        a disk could not be read.
        """
        found, failed = {}, []
        for evidence in items:
            try:
                found[evidence.evidence_id] = self.digest(evidence)
            except DigestMismatchError:
                raise
            except ForensicsError as error:
                failed.append(f"{evidence.evidence_id}: {error}")
                log.warning("%s", failed[-1])
        self._recorder.sign_ledger("disk-digest")
        if failed:
            raise SnapshotError(
                f"no digest of {'; '.join(failed)}",
                next_action="fix the cause and clear this task: it resumes where it stopped",
            )
        return found

    def digest(self, evidence: DiskEvidence) -> str:
        """SHA-256 of one disk's raw image; the recorded one when it was hashed before."""
        if evidence.origin.block_manifest:
            return evidence.digests[0].value
        copy_id = str(evidence.origin.copy_id)
        copies = self._copies(evidence.origin.copy_region or "")
        prefix = evidence_key(self._recorder.case_id, EvidenceKind.DISK, item=evidence.evidence_id, name=f"{copy_id}/")
        sink = BlockSink(self._recorder.gateways.evidence, prefix=prefix, export=self._settings.export_raw_disks)
        digest = self._read(copies, copy_id, sink)
        stored = self._store_manifest(evidence, digest, sink, key=f"{prefix}disk-digest.json")
        of_copy = Digest(value=digest.sha256, subject=f"{SUBJECT}; copy {copy_id}", source="control-plane")
        of_source, remark = self._source_digest(evidence)
        digests = (of_copy, *of_source)
        self._raise_when_different(evidence, digests)
        self._record(evidence, digest, stored=stored, digests=digests, remark=remark)
        return digest.sha256

    def _read(self, source: EbsDirectGateway, snapshot_id: str, sink: BlockSink) -> DiskDigest:
        progress = ReadProgress(self._recorder.gateways.store, self._recorder.case_id, snapshot_id=snapshot_id)
        return SnapshotReader(source, sink=sink, progress=progress, heartbeat=self._heartbeat).read(snapshot_id)

    def _store_manifest(self, evidence: DiskEvidence, digest: DiskDigest, sink: BlockSink, *, key: str) -> StoredObject:
        body = digest_document(
            digest,
            case_id=self._recorder.case_id,
            evidence_id=evidence.evidence_id,
            volume_id=evidence.origin.subject,
            segments=sink.segments(digest),
            data=sink.data_uris(digest),
        )
        return self._recorder.gateways.evidence.put(key, canonical(body), content_type="application/json")

    def _source_digest(self, evidence: DiskEvidence) -> tuple[tuple[Digest, ...], str]:
        """Digest of the original in the target's account (none when it cannot be read), and a remark that says so."""
        if not self._settings.hash_source_snapshots:
            return (), "the original was not read: forensics.hash_source_snapshots is off"
        snapshot_id = str(evidence.origin.snapshot_id)
        try:
            digest = self._read(self._originals(), snapshot_id, BlockSink(None))
        except (AccessDeniedError, ResourceGoneError) as error:
            return (), f"the original {snapshot_id} could not be read: {error}"
        of_source = Digest(value=digest.sha256, subject=f"{SUBJECT}; original {snapshot_id}", source="control-plane")
        return (of_source,), "original and copy were read and are equal"

    def _raise_when_different(self, evidence: DiskEvidence, digests: tuple[Digest, ...]) -> None:
        if len({d.value for d in digests}) == 1:
            return
        named = "; ".join(f"{d.subject}: {d.value}" for d in digests)
        msg = f"{evidence.evidence_id}: the copy is not the original: {named}"
        # Whatever a later try does: this copy is not called good again.
        self._recorder.fail_evidence(self._recorder.disk(evidence.evidence_id) or evidence, reason=msg)
        raise DigestMismatchError(msg)

    def _record(
        self,
        evidence: DiskEvidence,
        digest: DiskDigest,
        *,
        stored: StoredObject,
        digests: tuple[Digest, ...],
        remark: str,
    ) -> None:
        recorder, item = self._recorder, evidence.evidence_id
        manifest = BlockManifest(uri=stored.uri, sha256=stored.sha256, blocks=digest.blocks)
        recorder.custody(
            CustodyAction.EVIDENCE_VERIFIED,
            evidence_id=item,
            detail={
                "block_manifest": manifest.model_dump(),
                "snapshot_id": evidence.origin.snapshot_id,
                "copy_id": evidence.origin.copy_id,
                "volume_id": evidence.origin.volume_id,
            },
            facts=CustodyFacts(digests=digests, size_bytes=digest.volume_bytes, result=remark),
            once=f"digest-{digest.snapshot_id}",
        )
        recorder.note(
            f"{item}: SHA-256 {digest.sha256} of the raw image ({digest.blocks} written blocks); {remark[:300]}",
            kind=TimelineKind.EVIDENCE,
            evidence_id=item,
        )
        # Last: a disk with its block manifest is not read again.
        known = recorder.disk(item) or evidence
        origin = known.origin.model_copy(update={"block_manifest": manifest, "source_comparison": remark[:500]})
        recorder.save_evidence(
            known.model_copy(update={"digests": digests, "size_bytes": digest.volume_bytes, "origin": origin})
        )
