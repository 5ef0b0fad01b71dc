"""Write the bundle of a case into the evidence store, and notify people how to check it."""

from __future__ import annotations

from forensics import __version__
from forensics.aws.s3_archive import EvidenceArchive
from forensics.case.beginning import begin
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
    first = begin(recorder)
    began = first.at
    stamp, since = began.strftime("%Y%m%dT%H%M%S.%fZ"), began.strftime("%Y-%m-%dT%H:%M:%SZ")
    recorder.custody(
        CustodyAction.CASE_EXPORTED,
        detail={"requester": requester, "largest_mib": largest_mib or 0},
        facts=CustodyFacts(moved_to=requester or "not said"),
        once=f"exported-{stamp}",  # each bundle is an export of its own, also of a step that was cleared
    )
    recorder.sign_ledger("export")
    order = ExportOrder(
        case_id=recorder.case_id,
        exported_by=requester or "not said",
        product=f"ec2-forensics {__version__}",
        largest_mib=largest_mib,
    )
    gateways = recorder.gateways
    key = f"{case_prefix(recorder.case_id)}bundle/{stamp}/{recorder.case_id}.tar"
    stored = None if first.first else gateways.evidence.found(key)
    if stored is None:
        export = CaseExport(order=order, store=gateways.store, ledger=gateways.ledger, archive=archive)
        records = {"case.jsonld": render_case_uco(recorder.view()).encode()}
        # of two workers on one export the bundle of the faster one counts
        stored = gateways.evidence.put_stream(key, export.chunks(records), adopt=True)
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
            f"Check it with: forensics-verify --fingerprint {fingerprint} --case {recorder.case_id} --not-before {since} {recorder.case_id}.tar",
        ],
        facts=made,
        once=False,
    )
    return made
