"""Waits of a drill: for its canary, for its case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import PollTrigger, Timing, WaitResult
from forensics.errors import DrillError
from forensics.investigation.triggers import ForensicInstanceOnlineTrigger


class CanaryReadyTrigger(ForensicInstanceOnlineTrigger):
    """Fires when the canary runs and its SSM agent is online, which its launch template lets start when all is planted.

    :param instance_id: the canary
    """

    what = "canary"
    advice = "look at its system log, then start the DAG forensic_drill again"
    error = DrillError


class DrillCaseEndedTrigger(PollTrigger):
    """Fires when the drill's case has ended, with or without gaps.

    :param case_id: the case
    """

    def __init__(self, *, case_id: str, **kwargs: Unpack[Timing]) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id

    def arguments(self) -> Mapping[str, object]:
        return {"case_id": self.case_id}

    def waiting_for(self) -> str:
        return f"the end of the drill's case {self.case_id}"

    def check(self) -> WaitResult | None:
        hook = ForensicsHook()
        case = CaseStore.of(hook.own(), hook.settings).case(self.case_id)
        return WaitResult(ok=True, payload={"status": case.status.value}) if case.ended else None
