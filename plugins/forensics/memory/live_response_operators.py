"""The step that takes what the running instance shows of itself, right after its memory."""

from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowSkipException

from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import SsmCommandsCompletedTrigger
from forensics.case.recorder import CaseRecorder
from forensics.case.step import ForensicOperator, Json
from forensics.errors import AcquisitionError, ForensicsError
from forensics.memory.live_findings import read_live_response
from forensics.memory.live_response import LAST_ITEM_SECONDS, LiveResponse, Pass, give_up, lacks_processes, settle
from forensics.memory.upload_manifest import DELIVERY_SECONDS
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.naming import evidence_id


class LiveResponseOperator(ForensicOperator):
    """Take processes, connections, users, mounts, modules, containers and packages as one archive.

    It runs when the memory capture has ended, whatever its outcome, and before isolation; after a capture whose first try
    failed it is there already (the capture's step takes it before its next try). Where no image of all memory was possible,
    the suspicious processes' programs and memory are taken too, and the memory item records that.
    """

    before_isolation = True

    def act(self, recorder: CaseRecorder, context: Context) -> Json:
        """Send the command and wait for it; the command of an earlier attempt is adopted."""
        plan, target = recorder.plan(), recorder.target()
        if plan is None or target is None or not plan.memory.go:
            msg = "nothing is run on the target in this case"
            raise AirflowSkipException(msg)
        settle(recorder, SsmGateway.of(self.sessions.target("acquire")), self.settings)
        known = recorder.live_response()
        if known and known.outcome in {Outcome.ACQUIRED, Outcome.PARTIAL} and not lacks_processes(recorder):
            read_live_response(recorder, known)
            return {"evidence_id": evidence_id(EvidenceKind.LIVE_RESPONSE, recorder.case.instance_id), "already": True}
        command_id = self._live_response(recorder).begin(target)
        seconds = self.settings.live_response_seconds + LAST_ITEM_SECONDS + DELIVERY_SECONDS
        self.wait(
            SsmCommandsCompletedTrigger(
                scope=self.sessions.target_scope("acquire").as_dict(),
                commands=[[command_id, recorder.case.instance_id]],
                lost_after=DELIVERY_SECONDS,
                **self.timing(seconds),
            )
        )
        return None

    def resume(self, recorder: CaseRecorder, payload: Mapping[str, object], context: Context) -> Json:
        """Read how the command ended; hash what landed and write it to the evidence store."""
        acquired = self._live_response(recorder).evaluate()
        return {
            "evidence_id": acquired.evidence_id,
            "outcome": acquired.outcome.value,
            "sha256": acquired.digests[-1].value,
        }

    def _live_response(self, recorder: CaseRecorder) -> LiveResponse:
        which = Pass.PROCESSES if lacks_processes(recorder) else Pass.WHOLE
        return LiveResponse(recorder, SsmGateway.of(self.sessions.target("acquire")), self.settings, which)

    def wait_failed(self, cause: str, next_action: str) -> ForensicsError:
        """A wait that failed is a failed live response."""
        return AcquisitionError(f"live response: {cause}", next_action=next_action or None)

    def on_final_failure(self, recorder: CaseRecorder, cause: str) -> None:
        """The item records why there is no archive."""
        give_up(recorder, cause)
