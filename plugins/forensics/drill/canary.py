"""Where drills take place, and what their canary plants, as the settings and the launch template say it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from forensics.deployment import DEPLOYMENT
from forensics.models.drill import Planted
from forensics.settings import Settings

# Tags of the launch template: forensics:planted-process = text by which a tool's finding names it, and so on.
PLANTED = f"{DEPLOYMENT}:planted-"


class NotConfigured(Exception):
    """The deployment has no drills; the message says how it gets them."""


@dataclass(frozen=True)
class DrillPlace:
    """Account and Region of the canary."""

    account_id: str
    region: str


def drill_place(settings: Settings) -> DrillPlace:
    """Where the deployment's drills take place. Raises :class:`NotConfigured`."""
    if not settings.drill_account:
        msg = "no drills: forensics.drill_account is empty (docs/drills.md says how to set them up)"
        raise NotConfigured(msg)
    return DrillPlace(settings.drill_account, settings.drill_region or settings.region)


def planted_of(instance: Mapping[str, object]) -> tuple[Planted, ...]:
    """What the canary's tags say that was planted (DescribeInstances' ``Tags``)."""
    tags = instance.get("Tags")
    pairs = (
        {str(t["Key"]): str(t["Value"]) for t in tags if isinstance(t, Mapping)} if isinstance(tags, Iterable) else {}
    )
    return tuple(
        Planted(kind=key.removeprefix(PLANTED), text=value)
        for key, value in sorted(pairs.items())
        if key.startswith(PLANTED)
    )
