"""The step that asks the target what its memory can be captured with, before a method is chosen."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import ForensicsError, MemoryCaptureError
from forensics.memory.capture_state import CaptureState, state_of
from forensics.memory.probe import PROBE_DELIVERY_SECONDS, PROBE_SECONDS, send_probe


class ProbeTargetOperator(ForensicOperator):
    """Send the probe and wait for it; the capture reads the answer.

    The probe only reads. When the target cannot be probed, the capture is attempted anyway.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Send the probe; the trigger ends the task."""
        plan, target = recorder.plan(), recorder.target()
        if plan is None or target is None or not plan.memory.go:
            msg = "memory is not captured in this case: the target is not probed"
            raise AirflowSkipException(msg)
        if state_of(recorder.memory()) is CaptureState.VERIFIED:
            return {"already": True}
        record = send_probe(recorder, SsmGateway.of(self.sessions.target("acquire")), platform=target.platform)
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=self.sessions.target_scope("acquire").as_dict(),
                commands=[[record.command_id, record.instance_id]],
                must_succeed=True,
                lost_after=2 * PROBE_DELIVERY_SECONDS,
                **self.timing(PROBE_SECONDS + PROBE_DELIVERY_SECONDS, ends_task=True),
            )
        )
        return None

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A probe that failed."""
        return MemoryCaptureError(f"probe: {cause}", next_action=next_action or None)
