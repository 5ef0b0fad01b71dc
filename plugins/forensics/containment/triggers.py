"""What the planning task waits for: the end of isolation, its deadline, or a result that stays incomplete."""

from __future__ import annotations

import time
from typing import Any

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import PollTrigger, WaitResult
from forensics.models.case import CaseStatus
from forensics.models.containment import ContainmentResult
from forensics.models.evidence import Outcome

# What ends the watch: everything else is gone on with.
ENDED = frozenset({Outcome.DONE, Outcome.SKIPPED, Outcome.NOT_APPLICABLE})
# For how long an incomplete result is left to the tries of the step that recorded it, in seconds.
PATIENCE_SECONDS = 60.0


class ContainmentWatchTrigger(PollTrigger):
    """Ends the task when isolation has ended or the case is closed; fires ``due`` when this task has to isolate.

    That is when the deadline passes first, or when isolation has a result that is not complete and stays so: the case's own
    step has its tries, and then nobody else goes on.

    :param case_id: the case
    :param due: Unix time at which isolation has to start whatever the capture does
    """

    def __init__(self, *, case_id: str, due: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.case_id = case_id
        self.due = due
        self._incomplete_since: float | None = None

    def arguments(self) -> dict[str, object]:
        return {"case_id": self.case_id, "due": self.due}

    def look_again_by(self) -> float:
        """The moment at which isolation has to start, and the end of the patience with an incomplete one."""
        if self._incomplete_since is not None:
            return time.time()
        return self.due

    def waiting_for(self) -> str:
        return f"isolation in case {self.case_id}"

    def check(self) -> WaitResult | None:
        hook = ForensicsHook()
        store = CaseStore.of(hook.own(), hook.settings)
        result = store.get(self.case_id, case_keys.CONTAINMENT, ContainmentResult)
        if result is not None and result.outcome in ENDED:
            return WaitResult(ok=True, payload={"outcome": result.outcome.value, "state": result.state.value})
        if store.case(self.case_id).status is not CaseStatus.OPEN:
            return WaitResult(ok=True, payload={"outcome": "case closed"})
        if time.time() >= self.due:
            return _due("the isolation deadline has passed")
        return self._incomplete(result)

    def _incomplete(self, result: ContainmentResult | None) -> WaitResult | None:
        """Fire when a result has been incomplete for a while; a result that is completed meanwhile ends the task."""
        if result is None:
            self._incomplete_since = None
            return None
        if self._incomplete_since is None:
            self._incomplete_since = time.monotonic()
        if time.monotonic() - self._incomplete_since < PATIENCE_SECONDS:
            return None
        return _due(f"isolation is {result.outcome.value}: {result.reason}"[:1000])


def _due(cause: str) -> WaitResult:
    return WaitResult(ok=False, payload={"due": True, "cause": cause, "next_action": ""})
