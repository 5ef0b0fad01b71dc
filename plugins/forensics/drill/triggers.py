"""Waits of a drill: for its canary, for its case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

from forensics.aws.case_store import CaseStore
from forensics.aws.ec2 import Ec2Gateway
from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import PollTrigger, Timing, WaitResult
from forensics.aws.ssm import SsmGateway
from forensics.aws.triggers import ScopedTiming, ScopedTrigger
from forensics.errors import DrillError


class CanaryReadyTrigger(ScopedTrigger):
    """Fires when the canary runs and its SSM agent is online, which its launch template lets start when all is planted.

    :param instance_id: the canary
    """

    def __init__(self, *, instance_id: str, **kwargs: Unpack[ScopedTiming]) -> None:
        super().__init__(**kwargs)
        self.instance_id = instance_id

    def arguments(self) -> Mapping[str, object]:
        return {"scope": self.scope, "instance_id": self.instance_id}

    def waiting_for(self) -> str:
        return f"the SSM agent of the canary {self.instance_id}"

    def check(self) -> WaitResult | None:
        state = Ec2Gateway.of(self.session).state(self.instance_id)
        if state in {"terminated", "shutting-down", "stopped", "stopping"}:
            msg = f"the canary {self.instance_id} is {state} before it was ready"
            raise DrillError(msg, next_action="look at its system log, then start the DAG forensic_drill again")
        if state == "running" and SsmGateway.of(self.session).status(self.instance_id).online:
            return WaitResult(ok=True, payload={"instance_id": self.instance_id})
        return None


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
