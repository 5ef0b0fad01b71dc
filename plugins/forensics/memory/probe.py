"""Ask the target what its memory can be captured with, and read the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from forensics import case_keys
from forensics.aws.ssm import ExpectedCommand, Invocation, SsmGateway
from forensics.case.adoption import living_command
from forensics.case.beginning import begin
from forensics.case.recorder import CaseRecorder
from forensics.case.turns import turn
from forensics.document_registry import choose
from forensics.models.base import Model
from forensics.models.custody import CustodyAction
from forensics.models.documents import Document
from forensics.models.status_lines import Probe
from forensics.naming import FOOTPRINT

PROBE_SECONDS = 60
PROBE_DELIVERY_SECONDS = 60


class ProbeRecord(Model):
    """The probe's command, and the document that it ran."""

    command_id: str
    instance_id: str
    document: str
    document_version: str
    document_sha256: str


# A probe of which an answer may still come; and for how long one that has come is that of a try that died, and not what somebody
# wants to know anew who has cleared the task.
_LIVING = frozenset({"Pending", "InProgress", "Delayed"})
FRESH = timedelta(minutes=15)


def send_probe(recorder: CaseRecorder, ssm: SsmGateway, *, platform: str) -> ProbeRecord:
    """Send the read-only probe to the target and record that it was touched; one of an earlier try, or of a twin, counts as this one's."""
    with turn(recorder, "probe"):
        return _send_probe(recorder, ssm, platform=platform)


def _send_probe(recorder: CaseRecorder, ssm: SsmGateway, *, platform: str) -> ProbeRecord:
    began, document = begin(recorder), choose("probe", platform=platform)
    version = ssm.document_version(document.name, document.sha256)
    known = recorder.get(case_keys.PROBE, ProbeRecord)
    if known and known.document_sha256 == document.sha256:
        found = ssm.invocation(command_id=known.command_id, instance_id=known.instance_id)
        if found is not None and (found.status in _LIVING or _is_fresh(found)):
            return _touched(recorder, known)
    command_id = None if began.first else _unrecorded(recorder, ssm, document, since=began.at, known=known)
    record = ProbeRecord(
        command_id=command_id or _send(recorder, ssm, document, version=version),
        instance_id=recorder.case.instance_id,
        document=document.name,
        document_version=version,
        document_sha256=document.sha256,
    )
    recorder.put(case_keys.PROBE, record)
    return _touched(recorder, record)


def _comment(recorder: CaseRecorder) -> str:
    return f"{recorder.case_id} probe"


def _send(recorder: CaseRecorder, ssm: SsmGateway, document: Document, *, version: str) -> str:
    return ssm.send(
        document=document.name,
        version=version,
        sha256=document.sha256,
        instance_id=recorder.case.instance_id,
        parameters={"CaseId": recorder.case_id},
        comment=_comment(recorder),
        timeout_seconds=PROBE_SECONDS,
        delivery_seconds=PROBE_DELIVERY_SECONDS,
    )


def _unrecorded(
    recorder: CaseRecorder, ssm: SsmGateway, document: Document, *, since: datetime, known: ProbeRecord | None
) -> str | None:
    """The probe of a try that died before it could write down the command's id; it has no manifest."""
    expected = ExpectedCommand(
        comment=_comment(recorder),
        document=document.name,
        sha256=document.sha256,
        manifest="",
        unrecorded_since=since,
        recorded=known.command_id if known else None,
    )
    return living_command(recorder, ssm, instance_id=recorder.case.instance_id, expected=expected)


def _is_fresh(found: Invocation) -> bool:
    """Whether it succeeded a moment ago; SSM gives the end of a command as an ISO 8601 text."""
    if found.status != "Success" or not found.ended:
        return False
    ended = datetime.fromisoformat(found.ended)
    return datetime.now(UTC) - (ended if ended.tzinfo else ended.replace(tzinfo=UTC)) < FRESH


def _touched(recorder: CaseRecorder, record: ProbeRecord) -> ProbeRecord:
    """State in the ledger that the command touched the target; safe to repeat."""
    recorder.custody(
        CustodyAction.HOST_TOUCHED,
        detail={**record.model_dump(), "footprint": FOOTPRINT},
        once=f"touched-{record.command_id}",
    )
    return record


def probe_answer(recorder: CaseRecorder, ssm: SsmGateway) -> Probe | None:
    """What the case's probe reports; None when it was not sent, did not succeed or reports nothing usable."""
    record = recorder.get(case_keys.PROBE, ProbeRecord)
    if record is None:
        return None
    found = ssm.invocation(command_id=record.command_id, instance_id=record.instance_id)
    return Probe.read(found.status_line()) if found is not None and found.status == "Success" else None
