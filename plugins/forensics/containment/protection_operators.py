"""The step that protects the target before anything is acquired, and the part of closing that takes it back."""

from __future__ import annotations

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.hook import CaseSessions
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.protection import (
    TargetProtection,
    announce_protection,
    record_refusal,
    taken_back_at_close,
)
from forensics.errors import AwsError
from forensics.models.evidence import Outcome
from forensics.models.plan import ResponsePlan


class ProtectTargetOperator(ForensicOperator):
    """Protect the target and its volumes from ending while they are acquired; the state before is the case's restore point.

    A refusal does not fail the step: acquisition goes on at once, the snapshots before the memory.
    """

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Protect where the plan acquires; skips where it does not."""
        response = recorder.plan()
        if response is None:
            raise AirflowSkipException("there is no response plan: triage did not complete, nothing is changed")
        if not (response.memory.go or response.disk.go):
            raise AirflowSkipException("nothing is acquired, so nothing is changed for it")
        try:
            gateway = ContainmentGateway.of(self.sessions.target("contain"))
            result = TargetProtection(recorder, gateway, self.settings, response=response).protect()
        except AwsError as error:
            # acquisition must not wait for what AWS refuses
            result = record_refusal(recorder, error)
        announce_protection(recorder, result)
        if result.outcome is Outcome.NOT_APPLICABLE:
            raise AirflowSkipException(f"the target is not protected: {result.reason}")
        return {"outcome": result.outcome.value, "changes": len(result.made), "open": list(result.open)[:10]}

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The target counts as unprotected: the snapshots go first."""
        record_refusal(recorder, cause)


def end_protection(recorder: CaseRecorder, sessions: CaseSessions, response: ResponsePlan | None) -> None:
    """Take back the protections of a case that is closed, under the ``release`` role; see :meth:`TargetProtection.undo`."""
    if response is None or taken_back_at_close(recorder) is None:
        return
    gateway = ContainmentGateway.of(sessions.target("release"))
    TargetProtection(recorder, gateway, sessions.settings, response=response).undo()
