"""Waits of the disk flow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Unpack

from forensics.aws.ebs import EbsGateway, Snapshot, raise_if_failed
from forensics.aws.polling import PollTrigger, Timing, WaitResult
from forensics.aws.shared_looks import SharedLooks
from forensics.aws.triggers import ScopedTiming, ScopedTrigger
from forensics.errors import AwsError, ThrottledError

# Of all snapshot waits in the triggerer's loop.
_LOOKS: SharedLooks[Snapshot] = SharedLooks()


class SnapshotsCompletedTrigger(ScopedTrigger):
    """Fires when all snapshots are completed, or when one ends in error.

    The waits of one account and Region look together: one DescribeSnapshots names the snapshots of many cases.

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

    async def look(self) -> WaitResult | None:
        """Ask with the others. What that does not answer is asked alone: a snapshot that EC2 does not list, a session that may not look."""
        scope = self.scope
        where = (scope["account_id"], scope["region"], scope["phase"])
        try:
            known = await _LOOKS.ask(where, scope["case_id"], self.snapshot_ids, self._fetch)
        except ThrottledError:
            raise  # each wait slows down, and none asks once more for itself
        except AwsError as error:
            self.log.warning("the common look failed, %s is asked alone: %s", self.waiting_for(), error)
            return await super().look()
        if not all(i in known for i in self.snapshot_ids):
            return await super().look()
        return self._judged([known[i] for i in self.snapshot_ids])

    def _fetch(self, ids: Sequence[str]) -> Mapping[str, Snapshot]:
        return {s.id: s for s in EbsGateway.of(self.session).listed(ids)}

    def check(self) -> WaitResult | None:
        return self._judged(EbsGateway.of(self.session).snapshots(self.snapshot_ids))

    def _judged(self, found: Sequence[Snapshot]) -> WaitResult | None:
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
