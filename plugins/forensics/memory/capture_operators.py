"""The step that captures the target's memory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ssm import SsmGateway
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
from forensics.memory.capture_state import CaptureState, state_of
from forensics.memory.live_response import LAST_ITEM_SECONDS, LiveResponse, settle
from forensics.memory.snapshot_first import PATIENCE_SECONDS, SnapshotsBegunTrigger, snapshots_go_first
from forensics.memory.upload_manifest import DELIVERY_SECONDS
from forensics.models.evidence import EvidenceKind
from forensics.models.target import Target
from forensics.naming import evidence_id


class CaptureMemoryOperator(ForensicOperator):
    """Capture the target's memory: a pinned SSM document streams it in parts to presigned URLs.

    The target gets no credential, nothing is installed there and the script writes to memory only (docs/footprint.md). A retry adopts a
    command that is still running; an interrupted capture resumes at the part where it stopped. Several commands follow
    one another when the capture takes longer than its URLs are valid.
    """

    before_isolation = True

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
        if snapshots_go_first(recorder, plan):
            recorder.note("the target may end during its capture: the snapshots of its disks begin first")
            self.wait(
                SnapshotsBegunTrigger(
                    case_id=recorder.case_id,
                    until=time.time() + PATIENCE_SECONDS,
                    **self.timing(PATIENCE_SECONDS + self.settings.poll_seconds),
                )
            )
        settle(recorder, SsmGateway.of(self.sessions.target("acquire")), self.settings)
        self._live_response_first(recorder, target)
        self._begin(recorder, target)
        return None

    def _live_response_first(self, recorder: CaseRecorder, target: Target) -> None:
        """After a try that failed the live response does not wait for the last one: what it takes is gone sooner."""
        if state_of(recorder.memory()) is not CaptureState.INTERRUPTED or recorder.live_response() is not None:
            return
        try:
            command_id = self._live_response(recorder).begin(target)
        except ForensicsError as error:
            recorder.note(f"the live response was not begun between two tries of the capture: {error}")
            return
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=self.sessions.target_scope("acquire").as_dict(),
                commands=[[command_id, recorder.case.instance_id]],
                lost_after=DELIVERY_SECONDS,
                **self.timing(self.settings.live_response_seconds + LAST_ITEM_SECONDS + DELIVERY_SECONDS),
            )
        )

    def _live_response(self, recorder: CaseRecorder) -> LiveResponse:
        """The whole one but for the memory of processes: the next try may bring all memory."""
        return LiveResponse(recorder, SsmGateway.of(self.sessions.target("acquire")), self.settings, depth="standard")

    def _begin(self, recorder: CaseRecorder, target: Target) -> None:
        with _skipping():
            command = self._capture(recorder).begin(target)
        self._wait_for(recorder, command)

    def resume_after_wait(self, context: Context, event: dict[str, object]) -> Json:
        """A wait for the snapshots ends in the capture however it ended; one for a command as any other."""
        if "snapshots_begun" not in event:
            return super().resume_after_wait(context, event)

        def begin(recorder: CaseRecorder) -> Json:
            if not event["snapshots_begun"]:
                recorder.note(f"no snapshot has begun within {PATIENCE_SECONDS:.0f} s: the capture goes on without")
            if target := recorder.target():
                self._begin(recorder, target)
            return None

        return self._guarded(context, begin)

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, object], context: Context) -> Json:
        """Read how the command ended; complete the upload, or wait for the next command."""
        target, live = recorder.target(), recorder.live_response()
        if target and live and live.origin.command_id in _commands(payload):
            try:
                self._live_response(recorder).evaluate()
            except ForensicsError as error:  # its own step takes it up after the capture
                recorder.note(f"the live response between two tries of the capture failed: {error}")
            self._begin(recorder, target)
            return None
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


def _commands(payload: Mapping[str, object]) -> set[str]:
    """Ids of the commands that a wait was for."""
    pairs = payload.get("commands")
    return {str(pair[0]) for pair in pairs} if isinstance(pairs, list) else set()


@contextmanager
def _skipping() -> Iterator[None]:
    """No image is taken: the step is skipped, not failed."""
    try:
        yield
    except MemoryNotTaken as reason:
        raise AirflowSkipException(str(reason)) from None
