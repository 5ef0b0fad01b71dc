"""The wait for findings."""

from __future__ import annotations

from typing import Unpack

from forensics.aws.hook import ForensicsHook
from forensics.aws.polling import PollTrigger, Timing, WaitResult
from forensics.aws.sqs import FindingQueue


class QueueDepthTrigger(PollTrigger):
    """Fires when the findings' queue has visible messages. It hides none, so a kill loses nothing."""

    # SQS may be up to a minute late with its counts; a peek is not, but counts as a delivery of what it sees.
    LOOKS_PER_PEEK = 4

    def __init__(self, **kwargs: Unpack[Timing]) -> None:
        super().__init__(**kwargs)
        self._looks = 0

    def arguments(self) -> dict[str, object]:
        return {}

    def waiting_for(self) -> str:
        return "findings in the queue"

    def check(self) -> WaitResult | None:
        hook = ForensicsHook()
        queue = FindingQueue.of(hook.own(), hook.settings)
        self._looks += 1
        depth = queue.depth()
        if not depth and self._looks % self.LOOKS_PER_PEEK == 0:
            depth = queue.peek()
        return WaitResult(ok=True, payload={"depth": depth}) if depth else None
