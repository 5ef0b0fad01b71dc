"""Ask the target what its memory can be captured with, and read the answer."""

from __future__ import annotations

from forensics import case_keys
from forensics.aws.ssm import SsmGateway
from forensics.case.recorder import CaseRecorder
from forensics.document_registry import choose
from forensics.models.base import Model
from forensics.models.custody import CustodyAction
from forensics.models.status_lines import Probe

PROBE_SECONDS = 60
PROBE_DELIVERY_SECONDS = 60


class ProbeRecord(Model):
    """The probe's command, and the document that it ran."""

    command_id: str
    instance_id: str
    document: str
    document_version: str
    document_sha256: str


def send_probe(recorder: CaseRecorder, ssm: SsmGateway, *, platform: str) -> ProbeRecord:
    """Send the read-only probe to the target and record that it was touched."""
    document = choose("probe", platform=platform)
    version = ssm.document_version(document.name)
    command_id = ssm.send(
        document=document.name,
        version=version,
        sha256=document.sha256,
        instance_id=recorder.case.instance_id,
        parameters={"CaseId": recorder.case_id},
        comment=f"{recorder.case_id} probe",
        timeout_seconds=PROBE_SECONDS,
        delivery_seconds=PROBE_DELIVERY_SECONDS,
    )
    record = ProbeRecord(
        command_id=command_id,
        instance_id=recorder.case.instance_id,
        document=document.name,
        document_version=version,
        document_sha256=document.sha256,
    )
    recorder.put(case_keys.PROBE, record)
    recorder.custody(CustodyAction.HOST_TOUCHED, detail=record.model_dump(), once=f"touched-{command_id}")
    return record


def probe_answer(recorder: CaseRecorder, ssm: SsmGateway) -> Probe | None:
    """What the case's probe reports; None when it was not sent, did not succeed or reports nothing usable."""
    record = recorder.get(case_keys.PROBE, ProbeRecord)
    if record is None:
        return None
    found = ssm.invocation(command_id=record.command_id, instance_id=record.instance_id)
    return Probe.read(found.status_line()) if found is not None and found.status == "Success" else None
