"""Waits of the flow of control-plane evidence."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Unpack

from forensics.aws.cloudtrail import CloudTrailGateway
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
