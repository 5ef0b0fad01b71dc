"""Waits of the flow of control-plane evidence."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Unpack

from forensics.aws.cloudtrail import CloudTrailGateway
from forensics.aws.cloudtrail_lake import LakeGateway
from forensics.aws.polling import WaitResult
from forensics.aws.triggers import ScopedTiming, ScopedTrigger
from forensics.errors import AccessDeniedError, AwsError


class TrailDeliveredTrigger(ScopedTrigger):
    """Fires when a trail has delivered what was called before a time, or when it will not: nobody waits for that for long.

    :param trail_arn: the trail
    :param until: Unix time of the last call that is waited for
    :param give_up: Unix time after which the records that are there are read, and it is said that others may come
    """

    def __init__(self, *, trail_arn: str, until: float, give_up: float, **kwargs: Unpack[ScopedTiming]) -> None:
        super().__init__(**kwargs)
        self.trail_arn = trail_arn
        self.until = until
        self.give_up = give_up

    def arguments(self) -> Mapping[str, object]:
        return {"scope": self.scope, "trail_arn": self.trail_arn, "until": self.until, "give_up": self.give_up}

    def waiting_for(self) -> str:
        return f"records of trail {self.trail_arn}"

    def check(self) -> WaitResult | None:
        try:
            found = CloudTrailGateway.of(self.session).delivery(self.trail_arn)
        except AwsError as error:
            denied = isinstance(error, AccessDeniedError)
            if error.retryable and not denied and time.time() < self.give_up:
                raise
            return _go_on(f"the trail's state could not be asked for: {error}")
        if found.until is not None and found.until.timestamp() >= self.until:
            return _go_on("")
        if not found.logging:
            return _go_on("the trail does not log")
        if found.problem:
            return _go_on(f"the trail could not deliver: {found.problem}")
        if time.time() >= self.give_up:
            return _go_on("the trail had not delivered everything from before the case was opened")
        return None


def _go_on(why: str) -> WaitResult:
    return WaitResult(ok=True, payload={"waited": why})


class LakeTrigger(ScopedTrigger):
    """Fires when queries of CloudTrail Lake have ended, or when it is time to start one.

    Queries that scan more than they may, or run on after AWS's own hour, are cancelled; the step says so. A state that cannot be asked
    for ends the wait, because the step then hears the same.

    :param store: ARN of the event data store
    :param query_ids: what is waited for; empty: only the time
    :param not_before: Unix time before which the wait does not end
    :param most_bytes: bytes that the queries may scan together
    :param give_up: Unix time after which queries are cancelled
    :param waited: what an earlier wait of the step said, for the step
    """

    def __init__(
        self,
        *,
        store: str,
        query_ids: Sequence[str],
        not_before: float,
        most_bytes: int,
        give_up: float,
        waited: str = "",
        **kwargs: Unpack[ScopedTiming],
    ) -> None:
        super().__init__(**kwargs)
        self.store = store
        self.query_ids = list(query_ids)
        self.not_before = not_before
        self.most_bytes = most_bytes
        self.give_up = give_up
        self.waited = waited

    def arguments(self) -> Mapping[str, object]:
        return {
            "scope": self.scope, "store": self.store, "query_ids": self.query_ids, "not_before": self.not_before,
            "most_bytes": self.most_bytes, "give_up": self.give_up, "waited": self.waited,
        }  # fmt: skip

    def waiting_for(self) -> str:
        if not self.query_ids:
            return f"the time to ask CloudTrail Lake in {self.scope['region']}"
        return f"queries {', '.join(self.query_ids)} of event data store {self.store}"

    def look_again_by(self) -> float:
        return min(self.deadline, self.not_before) if self.not_before > time.time() else self.deadline

    def check(self) -> WaitResult | None:
        try:
            ended = self._ended()
        except AwsError as error:
            if error.retryable and not isinstance(error, AccessDeniedError) and time.time() < self.give_up:
                raise
            ended = True
        return _go_on(self.waited) if ended and time.time() >= self.not_before else None

    def _ended(self) -> bool:
        if not self.query_ids:
            return True
        gateway = LakeGateway.of(self.session)
        states = [gateway.state(query_id, store=self.store) for query_id in self.query_ids]
        running = [s.query_id for s in states if not s.ended]
        if running and (sum(s.scanned for s in states) > self.most_bytes or time.time() >= self.give_up):
            for query_id in running:
                gateway.cancel(query_id, store=self.store)
            return False
        return not running
