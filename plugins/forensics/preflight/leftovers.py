"""Removes what earlier preflights left behind: snapshots whose lock has ended, groups of one that was killed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from forensics.aws.ebs import EbsGateway
from forensics.containment.call_runner import ContainmentGateway
from forensics.containment.calls import delete_group
from forensics.errors import ForensicsError
from forensics.naming import PREFLIGHT, TAG_CASE
from forensics.preflight.scope import PreflightScope


class Leftovers:
    """One removal over all accounts and Regions of the deployment.

    Objects need nobody: the landing bucket's and the evidence store's lifecycle rules remove them.
    """

    def __init__(self, scope: PreflightScope, *, now: datetime | None = None) -> None:
        self._scope = scope
        self._now = now or datetime.now(UTC)

    def remove(self) -> tuple[list[str], list[str]]:
        """What was removed, and what could not be, with the reason."""
        removed: list[str] = []
        failed: list[str] = []
        for where, attempt in self._places():
            try:
                removed += attempt()
            except ForensicsError as error:
                failed.append(f"{where}: {error}")
        return removed, failed

    def _places(self) -> Iterator[tuple[str, _Removal]]:
        for region in self._scope.regions:
            yield f"copies in {region}", _Removal(self, "", region)
            for account in self._scope.members:
                yield f"snapshots of {account}, {region}", _Removal(self, account, region)
                yield f"groups of {account}, {region}", _Removal(self, account, region, groups=True)

    def snapshots(self, account: str, region: str) -> list[str]:
        """Delete the preflight's snapshots whose lock has ended; a lock that lasts is left to a later run."""
        phase = "acquire" if account else "analyse"
        ebs = EbsGateway.of(self._scope.phase(phase, account_id=account, region=region))
        gone = []
        for snapshot in ebs.find_snapshots(tags={TAG_CASE: PREFLIGHT}):
            lock = ebs.audited(snapshot.id)
            locked = lock.lock_state not in {None, "expired"} and (lock.until is None or lock.until > self._now)
            # one that a list shows and a look at it does not is new: its lock is not known yet
            if locked or lock.state is None:
                continue
            ebs.delete_snapshot(snapshot.id)
            gone.append(snapshot.id)
        return gone

    def groups(self, account: str, region: str) -> list[str]:
        """Delete the preflight's security groups; they are on no interface."""
        gateway = ContainmentGateway.of(self._scope.phase("contain", account_id=account, region=region))
        found = gateway.facts.facts.group_ids(case_id=PREFLIGHT)
        for group_id in found:
            gateway.perform(delete_group(group_id), ids={})
        return list(found)


class _Removal:
    """One kind of thing in one place."""

    def __init__(self, leftovers: Leftovers, account: str, region: str, *, groups: bool = False) -> None:
        self._leftovers, self._account, self._region, self._groups = leftovers, account, region, groups

    def __call__(self) -> list[str]:
        kind = self._leftovers.groups if self._groups else self._leftovers.snapshots
        return kind(self._account, self._region)
