"""Whether a snapshot that carries a case's tags is one that the case can have asked for. Pure.

EC2 says who owns a snapshot and when it was begun, not who made it (CloudTrail does). So everything else has to fit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from forensics.naming import Tag

# Clocks of workers and of EC2 may differ by so much.
CLOCKS = timedelta(minutes=5)


class MadeSnapshot(Protocol):
    """What is looked at of a snapshot."""

    @property
    def volume_id(self) -> str:
        """The volume that it is of; for a copy nothing that means anything."""
        ...

    @property
    def description(self) -> str:
        """As its maker wrote it."""
        ...

    @property
    def started_at(self) -> datetime | None:
        """When EC2 began it."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """All of its tags."""
        ...


def why_foreign(
    snapshot: MadeSnapshot,
    asked_at: datetime | None,
    *,
    description: str,
    tags: Sequence[Tag],
    volumes: Collection[str] | None = None,
) -> str | None:
    """Why a snapshot is not what was asked for at that time with this description and these tags; None when it is.

    :param volumes: the volumes that it may be of; None for a copy
    """
    if asked_at and snapshot.started_at and snapshot.started_at < asked_at - CLOCKS:
        return f"it was begun at {snapshot.started_at:%Y-%m-%d %H:%M:%SZ}, before the case asked for one"
    if snapshot.description != description:
        return f"its description is {snapshot.description[:200]!r}, not {description!r}"
    if wrong := [t["Key"] for t in tags if snapshot.tags.get(t["Key"]) != t["Value"]]:
        return f"its tags differ: {', '.join(wrong)}"
    if volumes is not None and snapshot.volume_id not in volumes:
        return f"it is of {snapshot.volume_id or 'no volume'}, which is none of the target's"
    return None
