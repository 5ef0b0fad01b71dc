"""Custody for people: hand a case over as a bundle, hash stored evidence again before anything reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from forensics import __version__
from forensics.aws.case_export import CaseExport, ExportOrder
from forensics.aws.desk import CaseDesk
from forensics.aws.evidence_archive import StoredVersion
from forensics.domain.memory_parts import LIST_SUBJECT
from forensics.domain.naming import case_prefix
from forensics.errors import DigestMismatchError, InvalidCaseError
from forensics.hooks.session import ForensicsHook
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.models.evidence import Digest, Evidence
from forensics.operators.base import ForensicOperator, Json
from forensics.report.case_uco import render_case_uco


class ExportCaseOperator(ForensicOperator):
    """Write the case bundle: what an outsider needs to check the case with ``forensics-verify`` (docs/custody.md).

    :param largest_mib: objects above this size are listed by their digest only; empty or 0: everything goes in
    :param requester: who gets the bundle; goes into the custody ledger
    """

    template_fields = ("case_id", "largest_mib", "requester")

    def __init__(self, *, largest_mib: str = "", requester: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.largest_mib = largest_mib
        self.requester = requester

    def act(self, desk: CaseDesk, context: Any) -> Json:
        """Record the export, sign the ledger with it, write the bundle."""
        limit = self._limit()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        desk.custody(
            CustodyAction.CASE_EXPORTED,
            detail={"requester": self.requester, "largest_mib": limit or 0},
            facts=CustodyFacts(moved_to=self.requester or "not said"),
        )
        desk.sign_ledger("export")
        export = CaseExport(
            order=ExportOrder(
                case_id=desk.case_id,
                exported_by=self.requester or "not said",
                product=f"ec2-forensics {__version__}",
                largest_mib=limit,
            ),
            store=desk.gw.store,
            ledger=desk.gw.ledger,
            archive=self.hook.archive(desk.case_id),
        )
        key = f"{case_prefix(desk.case_id)}bundle/{stamp}/{desk.case_id}.tar"
        records = {"case.jsonld": render_case_uco(desk.view()).encode()}
        stored = desk.gw.evidence.put_stream(key, export.chunks(records))
        fingerprint = desk.gw.ledger.public_key().fingerprint
        desk.note(f"case exported: {stored.uri}")
        made = {"uri": stored.uri, "sha256": stored.sha256, "bytes": stored.size_bytes, "fingerprint": fingerprint}
        desk.announce(
            "case_exported",
            "Case bundle written",
            lines=[
                f"Bundle: {stored.uri} ({stored.size_bytes} bytes, SHA-256 {stored.sha256})",
                f"Signing key: {fingerprint}",
                f"Check it with: forensics-verify --fingerprint {fingerprint} {desk.case_id}.tar",
            ],
            facts=made,
            once=False,
        )
        return made

    def _limit(self) -> int | None:
        text = str(self.largest_mib or "").strip()
        if text in {"", "0", "None"}:
            return None
        if not text.isdigit():
            msg = f"largest_mib is {text!r}; a whole number of MiB is expected, or nothing"
            raise InvalidCaseError(msg, next_action="start the DAG again with the parameter mended")
        return int(text)


def rehash(hook: ForensicsHook, desk: CaseDesk, evidence: Evidence) -> str:
    """Compute the digest of a stored item again in the forensic account and compare it with the recorded ones (R5).

    To be called before anything analyses the item. Returns the digest; a difference raises
    :class:`DigestMismatchError`, which is never retried.
    """
    archive = hook.archive(desk.case_id)
    prefix = f"s3://{archive.bucket}/"
    if not evidence.uri or not evidence.uri.startswith(prefix) or not evidence.digests:
        msg = f"{evidence.evidence_id} has no stored object with a digest: it cannot be verified"
        raise DigestMismatchError(msg)
    version = StoredVersion(
        key=evidence.uri.removeprefix(prefix),
        uri=evidence.uri,
        version_id=evidence.version_id,
        size_bytes=evidence.size_bytes or 0,
        written_at=evidence.ended_at or desk.case.opened_at,
        latest=True,
    )
    found = _sha256(archive.stream(version))
    # a digest of something else than the object says nothing about the object
    of_object = [d for d in evidence.digests if d.algorithm == "sha256" and d.subject != LIST_SUBJECT]
    wrong = [d for d in of_object if d.value != found]
    if wrong:
        said = "; ".join(f"{d.source} said {d.value} for {d.subject}" for d in wrong)
        msg = f"{evidence.evidence_id}: the stored object {evidence.uri} has SHA-256 {found} now, but {said}"
        raise DigestMismatchError(msg)
    again = Digest(value=found, subject="the stored object, read again before analysis", source="control-plane")
    desk.custody(
        CustodyAction.EVIDENCE_VERIFIED,
        evidence_id=evidence.evidence_id,
        detail={"uri": evidence.uri, "version_id": evidence.version_id, "sha256": found, "step": desk.step},
        facts=CustodyFacts(digests=(*of_object, again), result="equal"),
        once=f"rehash-{evidence.evidence_id}-{datetime.now(UTC):%Y%m%dT%H}",
    )
    return found


def _sha256(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()
