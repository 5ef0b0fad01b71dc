"""The triage context: what is known beside findings, target and policy when a plan is decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from forensics.models.finding import Severity
from forensics.models.organization import OrganizationTags
from forensics.models.verification import Verification


@dataclass(frozen=True)
class TriageContext:
    """Further input of a decision.

    ``verify``: findings must be confirmed live. ``protected``: entries of the never-isolate list that name the target,
    as sentences; ``spared``: those that name it by what its own account can change. ``doubts``: why nothing is isolated
    without a person's order (a list that is not signed, for instance).
    ``isolate_from``: the deployment's own severity threshold. ``organization``: tags of the target's account and of the units
    above it, where the policy's scope names such tags.
    """

    own_account: str | None = None
    verify: bool = False
    verifications: Mapping[str, Verification] = field(default_factory=dict)
    protected: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    isolate_from: Severity | None = None
    organization: OrganizationTags = field(default_factory=OrganizationTags)
