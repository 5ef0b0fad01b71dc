"""Write the bundle of a case into the evidence store, and notify people how to check it."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics import __version__
from forensics.aws.s3_archive import EvidenceArchive
from forensics.case.recorder import CaseRecorder
from forensics.custody.bundle_writer import CaseExport, ExportOrder
from forensics.models.custody import CustodyAction, CustodyFacts
from forensics.naming import case_prefix
from forensics.report.exports.case_uco import render_case_uco


def export_case(
    recorder: CaseRecorder, *, archive: EvidenceArchive, requester: str, largest_mib: int | None
) -> dict[str, object]:
    """Record the export, sign the ledger with it, write the bundle; returns its ``uri``, ``sha256``, ``bytes``, ``fingerprint``.

    Objects above ``largest_mib`` (MiB) are listed by their digest only; None includes everything.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    recorder.custody(
        CustodyAction.CASE_EXPORTED,
        detail={"requester": requester, "largest_mib": largest_mib or 0},
        facts=CustodyFacts(moved_to=requester or "not said"),
    )
    recorder.sign_ledger("export")
    order = ExportOrder(
        case_id=recorder.case_id,
        exported_by=requester or "not said",
        product=f"ec2-forensics {__version__}",
        largest_mib=largest_mib,
    )
    gateways = recorder.gateways
    export = CaseExport(order=order, store=gateways.store, ledger=gateways.ledger, archive=archive)
    key = f"{case_prefix(recorder.case_id)}bundle/{stamp}/{recorder.case_id}.tar"
    records = {"case.jsonld": render_case_uco(recorder.view()).encode()}
    stored = gateways.evidence.put_stream(key, export.chunks(records))
    recorder.note(f"case exported: {stored.uri}")
    fingerprint = gateways.ledger.key.public_key().fingerprint
    made: dict[str, object] = {
        "uri": stored.uri,
        "sha256": stored.sha256,
        "bytes": stored.size_bytes,
        "fingerprint": fingerprint,
    }
    recorder.announce(
        "case_exported",
        "Case bundle written",
        lines=[
            f"Bundle: {stored.uri} ({stored.size_bytes} bytes, SHA-256 {stored.sha256})",
            f"Signing key: {fingerprint}",
            f"Check it with: forensics-verify --fingerprint {fingerprint} {recorder.case_id}.tar",
        ],
        facts=made,
        once=False,
    )
    return made
