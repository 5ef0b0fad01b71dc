"""Polling in the triggerer: one loop, one place for time-outs, errors and ending the task."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent
from airflow.triggers.base import TriggerEvent as TriggerEvent

from forensics.aws.look_budget import LookBudget
from forensics.aws.visibility import NotVisibleYet, looking_once
from forensics.errors import AwsError, ForensicsError, ThrottledError

# boto3 is synchronous; its calls run here, so that the triggerer's event loop never waits for AWS.
_POOL = ThreadPoolExecutor(max_workers=24, thread_name_prefix="forensics-trigger")
MAX_ERRORS = 20
# An event that arrives while the scheduler still has the task as running costs the task a try: results that are there at
# once are held back for this long, in seconds, when they resume the task.
RESUME_AFTER = 5.0
# The triggerer runs all waits in one loop.
_BUDGET = LookBudget()
# How urgent the looks of a wait are: isolation waits for it; its case is critical.
ON_THE_WAY_TO_ISOLATION, CRITICAL = 1, 2


@dataclass(frozen=True)
class WaitResult:
    """A finished wait: ``ok`` or not, and plain values for the task."""

    ok: bool
    payload: Mapping[str, object]


class Timing(TypedDict):
    """Arguments that every wait takes (:class:`PollTrigger`)."""

    poll: float
    deadline: float
    ends_task: NotRequired[bool]
    urgency: NotRequired[int]


class PollTrigger(BaseTrigger):
    """Asks AWS again and again until :meth:`check` has an answer.

    :param poll: seconds between looks
    :param deadline: Unix time after which the wait fails with a time-out
    :param ends_task: a successful wait ends the task at once with the payload as its XCom; no worker is started again
    :param urgency: where many wait, those with a larger one look first
    """

    def __init__(self, *, poll: float, deadline: float, ends_task: bool = False, urgency: int = 0) -> None:
        super().__init__()
        self.poll = poll
        self.deadline = deadline
        self.ends_task = ends_task
        self.urgency = urgency

    @abstractmethod
    def arguments(self) -> Mapping[str, object]:
        """Further constructor arguments, plain values only."""

    @abstractmethod
    def check(self) -> WaitResult | None:
        """Look once (in a thread); None when it is not there yet."""

    def shares_budget_with(self) -> Hashable:
        """Waits with the same answer share a budget of looks: where it is used up they stand in line."""
        return type(self).__name__

    def look_again_by(self) -> float:
        """Unix time by which to look again however many wait: something of this wait's own becomes due then."""
        return self.deadline

    async def look(self) -> WaitResult | None:
        """Look once when it is this wait's turn, without holding up the loop."""
        due = max(0.0, self.look_again_by() - time.time())
        if due:
            await _BUDGET.take(self.shares_budget_with(), urgency=self.urgency, within=due)
        return await asyncio.get_running_loop().run_in_executor(_POOL, self._check_once)

    def _check_once(self) -> WaitResult | None:
        # what AWS does not know yet must not hold a thread that all waits share
        with looking_once():
            return self.check()

    @abstractmethod
    def waiting_for(self) -> str:
        """What is awaited, for messages."""

    def serialize(self) -> tuple[str, dict[str, object]]:
        """Class path and plain arguments."""
        common = {"poll": self.poll, "deadline": self.deadline, "ends_task": self.ends_task, "urgency": self.urgency}
        return f"{type(self).__module__}.{type(self).__qualname__}", {**common, **self.arguments()}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is an outcome, the deadline passes or AWS fails too often in a row."""
        began = time.monotonic()
        outcome = await self._wait()
        if not (outcome.ok and self.ends_task):
            await asyncio.sleep(max(0.0, RESUME_AFTER - (time.monotonic() - began)))
        if outcome.ok and self.ends_task:
            yield TaskSuccessEvent(xcoms={"return_value": outcome.payload})
        else:
            yield TriggerEvent({"ok": outcome.ok, **outcome.payload})

    async def _wait(self) -> WaitResult:
        errors, throttled, key = 0, False, self.shares_budget_with()
        unseen: float | None = None  # since when AWS has not known what is awaited
        while True:
            try:
                outcome = await self.look()
                errors, throttled, unseen = 0, False, None
                _BUDGET.answered(key)
            except NotVisibleYet as yet:
                now = asyncio.get_running_loop().time()
                errors, throttled, unseen = 0, False, now if unseen is None else unseen
                _BUDGET.answered(key)
                if now - unseen > yet.seconds:
                    return _failed(str(yet.error), yet.error.next_action)
                outcome = None
            except ThrottledError as error:
                # says nothing of what is awaited: all slow down, and the deadline bounds it
                _BUDGET.throttled(key)
                if not throttled:
                    self.log.warning("looks of %s are throttled: %s", self.waiting_for(), error)
                outcome, throttled = None, True
            except AwsError as error:
                errors += 1
                self.log.warning("look %s of %s failed: %s", errors, self.waiting_for(), error)
                if not error.retryable or errors >= MAX_ERRORS:
                    return _failed(str(error), error.next_action)
                outcome = None
            except ForensicsError as error:
                return _failed(str(error), error.next_action)
            if outcome is not None:
                return outcome
            if time.time() > self.deadline:
                return _failed(
                    f"timed out waiting for {self.waiting_for()}",
                    "look at the resource in AWS, then clear the task",
                )
            await asyncio.sleep(self.poll)


def _failed(cause: str, next_action: str) -> WaitResult:
    return WaitResult(ok=False, payload={"cause": cause, "next_action": next_action})
