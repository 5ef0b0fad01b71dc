"""Where the target may end during its capture, the snapshots of its disks begin first."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Unpack

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import PollTrigger, Timing, WaitResult
from forensics.case.recorder import CaseRecorder
from forensics.models.evidence import DiskEvidence, EvidenceKind, Outcome
from forensics.models.plan import ResponsePlan
from forensics.models.protection import ProtectionResult
from forensics.naming import evidence_id

# A snapshot set begins within seconds (CreateSnapshots); after this long the capture goes on without it, in seconds.
PATIENCE_SECONDS = 90.0


def snapshots_go_first(recorder: CaseRecorder, plan: ResponsePlan) -> bool:
    """Whether the capture has to wait until the snapshots have begun: the target is not fully protected, and they have not."""
    protection = recorder.get(case_keys.PROTECTION, ProtectionResult)
    if not plan.disk.go or protection is None or protection.complete:
        return False
    return not begun(recorder.gateways.store, recorder.case_id)


def begun(store: CaseStore, case_id: str) -> bool:
    """Whether a snapshot of the case is on record, or why there is none."""
    prefix = f"{case_keys.EVIDENCE}{evidence_id(EvidenceKind.DISK, '')}"
    disks = [DiskEvidence.stored(data) for _, data in store.items(case_id, prefix)]
    return any(disk.origin.snapshot_id or disk.outcome is not Outcome.PENDING for disk in disks)


class SnapshotsBegunTrigger(PollTrigger):
    """Fires when the case's snapshots have begun, or when they were waited for long enough.

    :param case_id: the case
    :param until: Unix time at which the capture goes on whatever the snapshots do
    """

    def __init__(self, *, case_id: str, until: float, **kwargs: Unpack[Timing]) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id
        self.until = until

    def arguments(self) -> Mapping[str, object]:
        return {"case_id": self.case_id, "until": self.until}

    def look_again_by(self) -> float:
        """The capture goes on then."""
        return time.time()

    def waiting_for(self) -> str:
        return f"the snapshots of case {self.case_id} to begin"

    def check(self) -> WaitResult | None:
        hook = ForensicsHook()
        found = begun(CaseStore.of(hook.own(), hook.settings), self.case_id)
        if found or time.time() >= self.until:
            return WaitResult(ok=True, payload={"snapshots_begun": found})
        return None
