"""The step that captures the target's memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import ForensicsError, MemoryCaptureError
from forensics.memory.capture import (
    LandedImage,
    MemoryCapture,
    MemoryNotTaken,
    RunningCommand,
    give_up,
    is_done,
    not_wanted,
)
from forensics.memory.capture_setup import CaptureGateways
from forensics.memory.upload_manifest import DELIVERY_SECONDS
from forensics.models.evidence import EvidenceKind
from forensics.naming import evidence_id


class CaptureMemoryOperator(ForensicOperator):
    """Capture the target's memory: a pinned SSM document streams it in parts to presigned URLs.

    The target gets no credential, nothing is installed there and nothing is written to its disks. A retry adopts a
    command that is still running; an interrupted capture resumes at the part where it stopped. Several commands follow
    one another when the capture takes longer than its URLs are valid.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Choose the method, send the command and wait for it."""
        plan, target = recorder.plan(), recorder.target()
        if plan is None or target is None:
            msg = "there is no response plan: triage did not end"
            raise AirflowSkipException(msg)
        if not plan.memory.go:
            raise AirflowSkipException(str(not_wanted(recorder, plan)))
        if is_done(recorder):
            return {"evidence_id": evidence_id(EvidenceKind.MEMORY, recorder.case.instance_id), "already": True}
        with _skipping():
            command = self._capture(recorder).begin(target)
        self._wait_for(recorder, command)
        return None

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, object], context: Context) -> Json:
        """Read how the command ended; complete the upload, or wait for the next command."""
        with _skipping():
            found = self._capture(recorder).evaluate(lost=bool(payload.get("lost")))
        if isinstance(found, LandedImage):
            return {"evidence_id": found.evidence_id, "bytes": found.bytes}
        self._wait_for(recorder, found)
        return None

    def _capture(self, recorder: CaseRecorder) -> MemoryCapture:
        return MemoryCapture(recorder, CaptureGateways.of(self.sessions), self.settings)

    def _wait_for(self, recorder: CaseRecorder, command: RunningCommand) -> None:
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=self.sessions.target_scope("acquire").as_dict(),
                commands=[[command.command_id, recorder.case.instance_id]],
                lost_after=DELIVERY_SECONDS,  # a command that stays Delayed must not hold isolation back for the whole capture
                **self.timing(command.seconds_left + DELIVERY_SECONDS),
            )
        )

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A wait that failed is a failed capture."""
        return MemoryCaptureError(f"memory capture: {cause}", next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The memory item records why there is no image."""
        give_up(recorder, cause)


@contextmanager
def _skipping() -> Iterator[None]:
    """No image is taken: the step is skipped, not failed."""
    try:
        yield
    except MemoryNotTaken as reason:
        raise AirflowSkipException(str(reason)) from None
