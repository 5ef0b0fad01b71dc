"""Memory: ask the target what its memory can be captured with, before anything is chosen (R66)."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics import case_keys
from forensics.aws.session import AwsSession
from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.document_registry import choose
from forensics.errors import ForensicsError, MemoryCaptureError
from forensics.memory.lime_modules import LimeModule
from forensics.memory.method import Choice, Offer, choose_methods, parse
from forensics.models.base import Model
from forensics.models.custody import CustodyAction
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.status_lines import Probe
from forensics.settings import Settings

PROBE_SECONDS = 60
DELIVERY_SECONDS = 60


class ProbeRecord(Model):
    """The command that asked, and the document it was."""

    command_id: str
    instance_id: str
    document: str
    document_version: str
    document_sha256: str


class ProbeTargetOperator(ForensicOperator):
    """Send the probe and wait for it; the step that captures reads the answer.

    It only reads. A target that cannot be asked does not keep the capture from being tried.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Send the probe; the trigger ends the task."""
        plan, target = recorder.plan(), recorder.target()
        if plan is None or target is None or not plan.memory.go:
            msg = "memory is not captured in this case: there is nothing to ask the target"
            raise AirflowSkipException(msg)
        memory = [e for e in recorder.evidence(EvidenceKind.MEMORY) if e.outcome is Outcome.ACQUIRED]
        if memory:
            return {"already": True}
        ssm = SsmGateway.of(self.sessions.target("acquire"))
        document = choose("probe", platform=target.platform)
        version = ssm.document_version(document.name)
        command_id = ssm.send(
            document=document.name,
            version=version,
            sha256=document.sha256,
            instance_id=recorder.case.instance_id,
            parameters={"CaseId": recorder.case_id},
            comment=f"{recorder.case_id} probe",
            timeout_seconds=PROBE_SECONDS,
            delivery_seconds=DELIVERY_SECONDS,
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
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=self.sessions.target_scope("acquire").as_dict(),
                commands=[[command_id, recorder.case.instance_id]],
                must_succeed=True,
                **self.timing(PROBE_SECONDS + DELIVERY_SECONDS, ends_task=True),
            )
        )
        return None

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A probe that failed."""
        return MemoryCaptureError(f"probe: {cause}", next_action=next_action or None)


def answer(recorder: CaseRecorder, account: AwsSession) -> Probe | None:
    """What the probe of this case said; None when it was not sent, has not ended well or said nothing usable."""
    record = recorder.get(case_keys.PROBE, ProbeRecord)
    if record is None:
        return None
    found = SsmGateway.of(account).invocation(command_id=record.command_id, instance_id=record.instance_id)
    return parse(found.status_line()) if found is not None and found.status == "Success" else None


def choice(probe: Probe | None, settings: Settings, *, part_size: int, module: LimeModule | None) -> Choice:
    """The table's answer with what this installation has to offer; ``module`` is the one for the target's kernel."""
    architectures = ("x86_64", *(("aarch64",) if settings.capture_tool_arm64_sha256 else ()))
    offer = Offer(
        avml_architectures=architectures,
        lime_kernels=(module.kernel,) if module else (),
        winpmem=bool(settings.winpmem_sha256),
        part_kib=part_size // 1024,
        memory_limit_kib=settings.memory_limit_gib * 1024 * 1024,
    )
    return choose_methods(probe, offer)
