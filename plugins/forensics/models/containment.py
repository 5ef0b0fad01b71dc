"""Containment: what is to be changed, what was changed, and what was read back afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated

from pydantic import AliasChoices, Field

from forensics.models.base import CaseId, InstanceId, Model, Utc
from forensics.models.evidence import Outcome
from forensics.models.outside import Outside
from forensics.models.plan import Order
from forensics.models.target_facts import InstanceFacts, ProfileFacts


class ContainmentState(StrEnum):
    """What is known about the target's network after the change."""

    NOT_CONTAINED = "NOT_CONTAINED"
    NEW_FLOWS_BLOCKED = "NEW_FLOWS_BLOCKED"
    ALL_FLOWS_VERIFIED = "ALL_FLOWS_VERIFIED"
    FAILED = "FAILED"


NETWORK_CLOSED = frozenset({ContainmentState.NEW_FLOWS_BLOCKED, ContainmentState.ALL_FLOWS_VERIFIED})


class Stage(StrEnum):
    """Parts of a plan in the order in which they are carried out; steps of one stage do not depend on each other."""

    CREDENTIALS_FIRST = "credentials-first"
    PROTECT = "protect"
    SCALING = "scaling"
    STANDBY = "standby"
    BALANCERS = "balancers"
    GROUPS = "groups"
    RULES = "rules"
    ADDRESSES = "addresses"
    OPEN = "open"
    CLOSE = "close"
    CLEANUP = "cleanup"
    CREDENTIALS = "credentials"


STAGES = tuple(Stage)
CREDENTIAL_STAGES = frozenset({Stage.CREDENTIALS_FIRST, Stage.CREDENTIALS})


class ApiCall(Model):
    """One mutating AWS call in boto3's names. ``${name}`` in a value stands for an id that does not exist yet."""

    service: str
    operation: str
    params: dict[str, object]

    @property
    def group_ids(self) -> tuple[str, ...]:
        """Security groups (or their placeholders) that the call puts an interface into; none for other calls."""
        groups = self.params.get("Groups")
        return tuple(str(g) for g in groups) if isinstance(groups, list | tuple) else ()

    def __str__(self) -> str:
        return f"{self.service}.{self.operation}"


class PlanStep(Model):
    """One change: the call, what undoes it, why, and who else is affected."""

    id: str
    stage: Stage
    target: str
    call: ApiCall
    undo: tuple[ApiCall, ...] = ()
    reason: str
    side_effects: tuple[str, ...] = Field(
        default=(),
        validation_alias=AliasChoices("side_effects", "blast"),
        serialization_alias="blast",
        description="who or what else is affected",
    )
    needs: tuple[str, ...] = Field(default=(), description="steps without which this one is not tried")
    gives: str | None = Field(default=None, description="placeholder that the call's answer fills")


class ManualStep(Outside):
    """One step that a person has to take because no call of this product can."""

    id: str
    what: str
    command: str | None = None
    reason: str


# Fields of stored and exported items keep the names under which earlier releases wrote them.
HardeningOptions = Annotated[
    tuple[str, ...],
    Field(
        validation_alias=AliasChoices("hardening_options", "ladder"),
        serialization_alias="ladder",
        description="how the residuals can be closed, cheapest first",
    ),
]
ManualSteps = Annotated[
    tuple[ManualStep, ...],
    Field(
        validation_alias=AliasChoices("manual_steps", "by_hand"),
        serialization_alias="by_hand",
        description="what is left to a person",
    ),
]


class PreflightAnswer(StrEnum):
    """What AWS answers when it is asked about a step before the step is carried out."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    NOT_ASKED = "not asked"


class PreflightStep(Outside):
    """What EC2 (``DryRun=True``) or IAM (its policy simulator) answered for one step."""

    name: str
    answer: PreflightAnswer
    detail: str


class PlanPreflight(Model):
    """AWS's answers to the steps of a plan, asked without changing anything."""

    digest: str
    steps: tuple[PreflightStep, ...]
    at: Utc

    def of(self, answer: PreflightAnswer) -> tuple[PreflightStep, ...]:
        """The steps with this answer."""
        return tuple(s for s in self.steps if s.answer is answer)


class ContainmentPlan(Model):
    """All changes in order, and what they do not achieve. An approval names ``digest``, which is over the steps."""

    case_id: CaseId
    instance_id: InstanceId
    order: Order = Order.ACQUIRE_FIRST
    steps: tuple[PlanStep, ...]
    residuals: tuple[str, ...] = ()
    hardening_options: HardeningOptions = ()
    manual_steps: ManualSteps = ()
    approval: tuple[str, ...] = Field(default=(), description="why a person has to agree; empty: nobody has to")
    token: str = Field(description="unguessable part of the names of this case's groups")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    made_at: Utc

    @property
    def network(self) -> ContainmentPlan:
        """The part that closes the network and protects the target; it needs nothing that IAM knows."""
        return self.with_steps(tuple(s for s in self.steps if s.stage not in CREDENTIAL_STAGES))

    @property
    def credentials(self) -> ContainmentPlan:
        """The part that ends credentials."""
        return self.with_steps(tuple(s for s in self.steps if s.stage in CREDENTIAL_STAGES))

    def with_steps(self, steps: tuple[PlanStep, ...]) -> ContainmentPlan:
        """The plan with some of its steps; its digest stays the one of the whole plan."""
        return self.model_copy(update={"steps": steps})


class InterfaceRestorePoint(Model):
    """The groups an interface had before isolation."""

    interface_id: str
    group_ids: tuple[str, ...]


class RestorePoint(Model):
    """What the target looked like before containment, written before the first change and never replaced."""

    restore_id: str
    instance_id: InstanceId
    interfaces: tuple[InterfaceRestorePoint, ...]
    termination_protected: bool | None = None
    stop_protected: bool | None = None
    facts: InstanceFacts | None = None
    taken_at: Utc


class RestoreIdentity(Model):
    """What IAM said of the target before containment: written before the first change of credentials, never replaced.

    It is a part of the restore point of its own, because the network is closed before IAM is asked.
    """

    profile: ProfileFacts
    role_policies: tuple[str, ...] = Field(default=(), description="inline policies of this product on the role")
    taken_at: Utc


class ContainmentStep(Outside):
    """One change of the plan and how it ended."""

    name: str
    target: str
    done: bool
    detail: str


class ContainmentResult(Outside):
    """The state after containment, read back from AWS."""

    outcome: Outcome
    state: ContainmentState
    reason: str | None = None
    group_id: str | None = None
    groups: dict[str, str] = Field(default_factory=dict, description="quarantine group by VPC")
    steps: tuple[ContainmentStep, ...] = ()
    residuals: tuple[str, ...] = Field(default=(), description="paths that stay open or unproven")
    hardening_options: HardeningOptions = ()
    manual_steps: ManualSteps = ()
    plan_digest: str | None = None
    contained_at: Utc | None = None
    credentials_open: tuple[str, ...] = Field(default=(), description="credentials that may still work, and why")
    unsealed: str | None = Field(default=None, description="why the restore point is not sealed yet")
    held_elsewhere: bool = Field(
        default=False, description="another deployment had closed it, and this one changed nothing"
    )

    @property
    def network_closed(self) -> bool:
        """Whether every interface was read back in the empty group of its VPC."""
        return self.state in NETWORK_CLOSED


class ReleasePlan(Outside):
    """The calls that bring the target back; ``digest`` is what an approval names."""

    calls: tuple[ApiCall, ...]
    differences: tuple[str, ...] = ()
    digest: str
    requester: str
    made_at: Utc
    warnings: tuple[str, ...] = Field(default=(), description="what whoever approves has to look at first")
    reason: str = Field(default="", description="why it is asked for, in the words of who asked")


class ReleaseResult(Outside):
    """The target after release, compared with the restore point."""

    outcome: Outcome
    reason: str | None = None
    steps: tuple[ContainmentStep, ...] = ()
    differences: tuple[str, ...] = Field(default=(), description="what is not as it was before containment")
    approved_by: str | None = None
    released_at: Utc | None = None

    def is_before(self, containment: ContainmentResult) -> bool:
        """Whether the target was closed after this release, which then says nothing of the target as it is."""
        ended, closed = self.released_at, containment.contained_at
        return ended is not None and closed is not None and ended < closed

    def undoes(self, containment: ContainmentResult) -> bool:
        """Whether this containment was released, and the target not closed again later."""
        return self.released_at is not None and not self.is_before(containment)


@dataclass(frozen=True)
class Permission:
    """One question for IAM: an action on a resource, under these condition keys."""

    action: str
    resource: str
    context: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource}"
