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
from forensics.memory.live_response import LiveResponse, Pass
from forensics.memory.probe import PROBE_DELIVERY_SECONDS, PROBE_SECONDS, send_probe
from forensics.models.case import TimelineKind
from forensics.models.evidence import Outcome
from forensics.models.target import Target


class ProbeTargetOperator(ForensicOperator):
    """Send the probe, and beside it the first pass of the live response; the capture reads both answers.

    The first pass is what would be gone when the capture ends: connections, processes, sessions. The probe only reads. When the target cannot be probed, the capture is attempted anyway.
    """

    before_isolation = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Send the probe; the trigger ends the task."""
        plan, target = recorder.plan(), recorder.target()
        if plan is None or target is None or not plan.memory.go:
            msg = "memory is not captured in this case: the target is not probed"
            raise AirflowSkipException(msg)
        if state_of(recorder.memory()) is CaptureState.VERIFIED:
            return {"already": True}
        ssm = SsmGateway.of(self.sessions.target("acquire"))
        record = send_probe(recorder, ssm, platform=target.platform)
        first = _first_pass(LiveResponse(recorder, ssm, self.settings, Pass.FIRST), recorder, target)
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=self.sessions.target_scope("acquire").as_dict(),
                commands=[[record.command_id, record.instance_id]],
                must_succeed=True,
                also=[[first, record.instance_id]] if first else [],
                lost_after=2 * PROBE_DELIVERY_SECONDS,
                **self.timing(PROBE_SECONDS + PROBE_DELIVERY_SECONDS, ends_task=True),
            )
        )
        return None

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A probe that failed."""
        return MemoryCaptureError(f"probe: {cause}", next_action=next_action or None)


def _first_pass(live: LiveResponse, recorder: CaseRecorder, target: Target) -> str | None:
    """The command of the first pass, or None where there is none or it is there; no trouble with it holds the probe back."""
    known = live.known()
    if known and known.outcome is not Outcome.PENDING:
        return None
    try:
        return live.begin(target)
    except ForensicsError as error:
        recorder.note(f"the first pass of the live response was not begun: {error}", kind=TimelineKind.EVIDENCE)
        return None
