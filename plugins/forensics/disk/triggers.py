"""Waits of the disk flow."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Unpack

from forensics.aws.ebs import EbsGateway, raise_if_failed
from forensics.aws.polling import PollTrigger, Timing, WaitResult
from forensics.aws.triggers import ScopedTiming, ScopedTrigger


class SnapshotsCompletedTrigger(ScopedTrigger):
    """Fires when all snapshots are completed, or when one ends in error.

    :param snapshot_ids: the snapshots
    :param until_ended: wait for all, and leave it to the step what to do with one that ended in error
    """

    def __init__(self, *, snapshot_ids: list[str], until_ended: bool = False, **kwargs: Unpack[ScopedTiming]) -> None:
        super().__init__(**kwargs)
        self.snapshot_ids = snapshot_ids
        self.until_ended = until_ended

    def arguments(self) -> Mapping[str, object]:
        return {"scope": self.scope, "snapshot_ids": self.snapshot_ids, "until_ended": self.until_ended}

    def waiting_for(self) -> str:
        return f"snapshots {', '.join(self.snapshot_ids)}"

    def check(self) -> WaitResult | None:
        found = EbsGateway.of(self.session).snapshots(self.snapshot_ids)
        if not self.until_ended:
            raise_if_failed(found, what="snapshot")
        states = {s.id: s.state for s in found}
        if len(states) == len(self.snapshot_ids) and set(states.values()) <= {"completed", "error"}:
            return WaitResult(ok=True, payload={"snapshots": states})
        return None


class QuotaPauseTrigger(PollTrigger):
    """Fires when a pause is over, which a full quota of the account and Region made necessary.

    :param until: Unix time
    """

    def __init__(self, *, until: float, **kwargs: Unpack[Timing]) -> None:
        super().__init__(**kwargs)
        self.until = until

    def arguments(self) -> Mapping[str, object]:
        return {"until": self.until}

    def waiting_for(self) -> str:
        return "room in a quota of the account and Region"

    def check(self) -> WaitResult | None:
        return WaitResult(ok=True, payload={}) if time.time() >= self.until else None
