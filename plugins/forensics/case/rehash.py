"""Hash stored evidence again before anything reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime

from forensics.aws.s3_archive import EvidenceArchive, StoredVersion
from forensics.case.recorder import CaseRecorder
from forensics.errors import DigestMismatchError
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.evidence import LIST_SUBJECT, Digest, Evidence


def rehash(archive: EvidenceArchive, recorder: CaseRecorder, evidence: Evidence) -> str:
    """Compute the digest of a stored item again in the forensic account and compare it with the recorded ones.

    To be called before anything analyses the item. Returns the digest; a difference raises
    :class:`DigestMismatchError`, which is never retried.
    """
    prefix = f"s3://{archive.bucket}/"
    if not evidence.uri or not evidence.uri.startswith(prefix) or not evidence.digests:
        msg = f"{evidence.evidence_id} has no stored object with a digest: it cannot be verified"
        raise DigestMismatchError(msg)
    version = StoredVersion(
        key=evidence.uri.removeprefix(prefix),
        uri=evidence.uri,
        version_id=evidence.version_id,
        size_bytes=evidence.size_bytes or 0,
        written_at=evidence.ended_at or recorder.case.opened_at,
        latest=True,
    )
    found = _sha256(archive.stream(version))
    # Digests of other bytes than the object say nothing about it.
    of_object = [d for d in evidence.digests if d.algorithm == "sha256" and d.subject != LIST_SUBJECT]
    wrong = [d for d in of_object if d.value != found]
    if wrong:
        stated = "; ".join(f"{d.source} said {d.value} for {d.subject}" for d in wrong)
        msg = f"{evidence.evidence_id}: the stored object {evidence.uri} has SHA-256 {found} now, but {stated}"
        raise DigestMismatchError(msg)
    again = Digest(value=found, subject="the stored object, read again before analysis", source="control-plane")
    recorder.custody(
        CustodyAction.EVIDENCE_VERIFIED,
        evidence_id=evidence.evidence_id,
        detail={"uri": evidence.uri, "version_id": evidence.version_id, "sha256": found, "step": recorder.step},
        facts=CustodyFacts(digests=(*of_object, again), result="equal"),
        once=f"rehash-{evidence.evidence_id}-{datetime.now(UTC):%Y%m%dT%H}",
    )
    return found


def _sha256(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
