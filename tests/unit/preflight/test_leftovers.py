"""What earlier preflights left is removed as soon as its lock has ended, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from forensics.aws.ebs import EbsGateway, Snapshot
from forensics.containment.call_runner import ContainmentGateway
from forensics.models.custody import AuditedSnapshot
from forensics.preflight.leftovers import Leftovers
from forensics.preflight.scope import PreflightScope
from tests.unit.preflight.conftest import MEMBER, FakeHook

Answering = Callable[[type, Any], None]
NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


@dataclass
class Snapshots:
    """Snapshots by id, with the end of their lock."""

    held: dict[str, datetime | None]
    asked: list[dict[str, str]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)

    def find_snapshots(self, *, tags: dict[str, str]) -> list[Snapshot]:
        self.asked.append(tags)
        return [Snapshot(id=i, volume_id="vol-1", state="completed") for i in self.held if i not in self.deleted]

    def audited(self, snapshot_id: str) -> AuditedSnapshot:
        until = self.held[snapshot_id]
        lock = "governance" if until else None
        return AuditedSnapshot(
            snapshot_id=snapshot_id, account_id=MEMBER, state="completed", lock_state=lock, until=until
        )

    def delete_snapshot(self, snapshot_id: str) -> None:
        self.deleted.append(snapshot_id)


class NoGroups:
    """An account without groups of a preflight."""

    def __init__(self) -> None:
        self.facts = self

    def group_ids(self, *, case_id: str) -> tuple[str, ...]:
        assert case_id == "fc-preflight"
        return ()


def test_a_lock_that_lasts_is_left_to_a_later_day(scope: PreflightScope, answering: Answering) -> None:
    held = {"snap-locked": NOW + timedelta(hours=1), "snap-old": NOW - timedelta(hours=1), "snap-unlocked": None}
    snapshots = Snapshots(held)
    answering(EbsGateway, snapshots)
    answering(ContainmentGateway, NoGroups())
    removed, failed = Leftovers(scope, now=NOW).remove()
    assert (sorted(removed), failed) == (["snap-old", "snap-unlocked"], [])
    assert all(tags == {"forensics:case": "fc-preflight"} for tags in snapshots.asked)


def test_an_account_that_refuses_does_not_hide_the_others(
    scope: PreflightScope, hook: FakeHook, answering: Answering
) -> None:
    hook.refused.add("contain")
    answering(EbsGateway, Snapshots({"snap-old": None}))
    removed, failed = Leftovers(scope, now=NOW).remove()
    assert removed == ["snap-old"]
    assert len(failed) == 1 and MEMBER in failed[0]
