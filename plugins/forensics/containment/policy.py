"""What the deployment's settings and a case's response plan ask of containment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Self

from forensics.models.plan import Measure, Order, ResponsePlan
from forensics.settings import Settings


@dataclass(frozen=True)
class ContainmentPolicy:
    """How a target is contained.

    ``deny_profile`` is the instance profile that may do nothing (empty: the profile is taken off), ``idle_seconds`` the
    timeout of idle tracked connections (0: EC2's own), ``approval`` why a person has to agree (empty: nobody has to).
    """

    order: Order = Order.ACQUIRE_FIRST
    measures: tuple[Measure, ...] = ()
    break_flows: bool = True
    idle_seconds: int = 0
    deny_profile: str = ""
    revoke_role: bool = False
    approval: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings, response: ResponsePlan) -> Self:
        """The policy of one case."""
        approval = response.approval
        return cls(
            order=response.order,
            measures=response.containment,
            break_flows=settings.break_tracked_flows,
            idle_seconds=settings.idle_flow_seconds,
            deny_profile=settings.containment_profile,
            revoke_role=settings.revoke_role_sessions,
            approval=(approval.reasons or ("the response plan requires it",)) if approval.required else (),
        )

    @property
    def contain_first(self) -> bool:
        """Whether the target is cut off before the acquisition has ended."""
        return self.order is Order.CONTAIN_FIRST

    @property
    def credentials_first(self) -> bool:
        """Whether credentials end before the network is changed."""
        return Measure.CREDENTIALS_FIRST in self.measures


def isolation_due(decided_at: datetime, *, seconds: int) -> float:
    """Unix time at which isolation starts even if the memory capture still runs."""
    return decided_at.timestamp() + seconds
