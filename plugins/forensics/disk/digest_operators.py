"""Disks: digest of each copy without mounting it, through the EBS direct APIs (R8). Off the critical path."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.aws.s3 import StoredObject
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.custody.chain import canonical
from forensics.disk.image import DiskDigest, document
from forensics.disk.snapshot_reader import Bookmark, DiskReading, Shelf
from forensics.errors import AccessDeniedError, DigestMismatchError, ForensicsError, ResourceGoneError, SnapshotError
from forensics.models.case import TimelineKind
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.evidence import BlockManifest, Digest, DiskEvidence, EvidenceKind, Outcome
from forensics.naming import evidence_key

SUBJECT = "raw image: all blocks in order, blocks that the snapshot does not hold as zeros"


class DigestDisksOperator(ForensicOperator):
    """Hash every acquired disk: the copy in the forensic account and, unless switched off, the original, which must agree.

    The block manifest (number and SHA-256 of every written block) becomes evidence. A read that was interrupted goes on
    where it was. One disk that cannot be read does not keep the others from being hashed.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Hash what has no digest yet."""
        items = [e for e in recorder.disks() if e.outcome is Outcome.ACQUIRED and e.origin.copy_id]
        if not items:
            raise AirflowSkipException("no disk was acquired: there is nothing to hash")
        found, failed = {}, []
        for evidence in items:
            try:
                found[evidence.evidence_id] = self._item(recorder, evidence)
            except DigestMismatchError:
                raise
            except ForensicsError as error:
                failed.append(f"{evidence.evidence_id}: {error}")
                self.log.warning("%s", failed[-1])
        recorder.sign_ledger("disk-digest")
        if failed:
            raise SnapshotError(
                f"no digest of {'; '.join(failed)}",
                next_action="mend the cause and clear this task: it goes on where it was",
            )
        return found

    def _item(self, recorder: CaseRecorder, evidence: DiskEvidence) -> str:
        if evidence.origin.block_manifest:
            return evidence.digests[0].value
        copy_id = str(evidence.origin.copy_id)
        region = evidence.origin.copy_region or ""
        own = EbsDirectGateway.of(self.sessions.forensic(region=region))
        prefix = evidence_key(recorder.case_id, EvidenceKind.DISK, item=evidence.evidence_id, name=f"{copy_id}/")
        shelf = Shelf(recorder.gateways.evidence, prefix=prefix, export=self.settings.export_raw_disks)
        digest = self._read(recorder, own, copy_id, shelf)
        body = document(
            digest,
            case_id=recorder.case_id,
            evidence_id=evidence.evidence_id,
            volume_id=str(evidence.origin.volume_id),
            segments=shelf.listed(digest),
            data=shelf.data_listed(digest),
        )
        stored = recorder.gateways.evidence.put(
            f"{prefix}disk-digest.json", canonical(body), content_type="application/json"
        )
        of_copy = Digest(value=digest.sha256, subject=f"{SUBJECT}; copy {copy_id}", source="control-plane")
        of_source, remark = self._source(recorder, evidence)
        self._record(recorder, evidence, digest, stored=stored, digests=(of_copy, *of_source), remark=remark)
        return digest.sha256

    def _read(self, recorder: CaseRecorder, source: EbsDirectGateway, snapshot_id: str, shelf: Shelf) -> DiskDigest:
        bookmark = Bookmark(recorder.gateways.store, recorder.case_id, snapshot_id=snapshot_id)
        return DiskReading(source, shelf=shelf, bookmark=bookmark, beat=self.log.info).run(snapshot_id)

    def _source(self, recorder: CaseRecorder, evidence: DiskEvidence) -> tuple[tuple[Digest, ...], str]:
        """Digest of the original in the target's account; what keeps it from being read is said, not hidden."""
        if not self.settings.hash_source_snapshots:
            return (), "the original was not read: forensics.hash_source_snapshots is off"
        snapshot_id = str(evidence.origin.snapshot_id)
        direct = EbsDirectGateway.of(self.sessions.target("acquire"))
        try:
            digest = self._read(recorder, direct, snapshot_id, Shelf(None))
        except (AccessDeniedError, ResourceGoneError) as error:
            return (), f"the original {snapshot_id} could not be read: {error}"
        of_source = Digest(value=digest.sha256, subject=f"{SUBJECT}; original {snapshot_id}", source="control-plane")
        return (of_source,), "original and copy were read and are equal"

    def _record(
        self,
        recorder: CaseRecorder,
        evidence: DiskEvidence,
        digest: DiskDigest,
        *,
        stored: StoredObject,
        digests: tuple[Digest, ...],
        remark: str,
    ) -> None:
        if len({d.value for d in digests}) > 1:
            named = "; ".join(f"{d.subject}: {d.value}" for d in digests)
            msg = f"{evidence.evidence_id}: the copy is not the original: {named}"
            # Whatever a later try does: this copy is not called good again.
            recorder.fail_evidence(recorder.disk(evidence.evidence_id) or evidence, reason=msg)
            raise DigestMismatchError(msg)
        manifest = BlockManifest(uri=stored.uri, sha256=stored.sha256, blocks=digest.blocks)
        recorder.custody(
            CustodyAction.EVIDENCE_VERIFIED,
            evidence_id=evidence.evidence_id,
            detail={
                "block_manifest": manifest.model_dump(),
                "snapshot_id": evidence.origin.snapshot_id,
                "copy_id": evidence.origin.copy_id,
                "volume_id": evidence.origin.volume_id,
            },
            facts=CustodyFacts(digests=digests, size_bytes=digest.volume_bytes, result=remark),
            once=f"digest-{digest.snapshot_id}",
        )
        known = recorder.disk(evidence.evidence_id) or evidence
        recorder.save_evidence(
            known.model_copy(
                update={
                    "digests": digests,
                    "size_bytes": digest.volume_bytes,
                    "origin": known.origin.model_copy(
                        update={"block_manifest": manifest, "source_comparison": remark[:500]}
                    ),
                }
            )
        )
        recorder.note(
            f"{evidence.evidence_id}: SHA-256 {digest.sha256} of the raw image ({digest.blocks} written blocks); {remark[:300]}",
            kind=TimelineKind.EVIDENCE,
            evidence_id=evidence.evidence_id,
        )
