"""What the planning task waits for: the result of isolation, or the deadline."""

from __future__ import annotations

import time
from typing import Any

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import PollTrigger, WaitResult
from forensics.models.case import CaseStatus
from forensics.models.containment import ContainmentResult


class ContainmentWatchTrigger(PollTrigger):
    """Ends the task when isolation has a result or the case is closed; fires ``due`` when the deadline passes first.

    :param case_id: the case
    :param due: Unix time at which isolation has to start whatever the capture does
    """

    def __init__(self, *, case_id: str, due: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id
        self.due = due

    def arguments(self) -> dict[str, object]:
        return {"case_id": self.case_id, "due": self.due}

    def waiting_for(self) -> str:
        return f"isolation in case {self.case_id}"

    def check(self) -> WaitResult | None:
        hook = ForensicsHook()
        store = CaseStore.of(hook.own(), hook.settings)
        result = store.get(self.case_id, case_keys.CONTAINMENT, ContainmentResult)
        if result is not None:
            return WaitResult(ok=True, payload={"outcome": result.outcome.value, "state": result.state.value})
        if store.case(self.case_id).status is not CaseStatus.OPEN:
            return WaitResult(ok=True, payload={"outcome": "case closed"})
        if time.time() >= self.due:
            return WaitResult(
                ok=False, payload={"due": True, "cause": "the isolation deadline has passed", "next_action": ""}
            )
        return None
