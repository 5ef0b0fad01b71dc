"""What will be done to the target, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from forensics.models.base import Model, Utc
from forensics.models.outside import Outside
from forensics.models.verification import Verification


class Action(StrEnum):
    """The three things a plan decides."""

    MEMORY = "memory"
    DISK = "disk"
    ISOLATE = "isolate"


class Order(StrEnum):
    """Whether evidence is acquired before the target is isolated, or after."""

    ACQUIRE_FIRST = "acquire_first"
    CONTAIN_FIRST = "contain_first"


class Measure(StrEnum):
    """What containment does beside the isolation, by the kind of finding."""

    CREDENTIALS_FIRST = "credentials_first"
    DNS_FIREWALL = "dns_firewall"
    STOP_AFTER_ACQUISITION = "stop_after_acquisition"


class Lane(StrEnum):
    """Parts of the investigation that a playbook asks for."""

    PROCESSES = "processes"
    NETWORK = "network"
    KERNEL = "kernel"
    PERSISTENCE = "persistence"
    LOGINS = "logins"
    FILES = "files"
    WEB = "web"
    CONTAINERS = "containers"
    CREDENTIALS = "credentials"
    DNS = "dns"
    YARA = "yara"


class Question(Model):
    """One question that the investigation has to answer, and the artifacts that can answer it (after DFIQ)."""

    id: Annotated[str, StringConstraints(pattern=r"^q-[a-z0-9-]{2,40}$")]
    text: str = Field(min_length=8, max_length=160)
    artifacts: tuple[str, ...] = Field(min_length=1)


class Decision(Outside):
    """Yes or no to one action, with every reason that led there.

    ``waits``: it is not possible only because the target is outside the policy's scope: a person's order does it. ``applies``:
    what the case is about can have it at all; a snapshot has no memory, and nothing is missing without it.
    """

    action: Action
    wanted: bool
    possible: bool = True
    waits: bool = False
    applies: bool = True
    reasons: tuple[str, ...] = Field(min_length=1)

    @property
    def go(self) -> bool:
        """Whether the step is carried out."""
        return self.wanted and self.possible


class ApprovalRequirement(Outside):
    """Whether isolation waits for a person; acquisition never does."""

    required: bool = False
    reasons: tuple[str, ...] = ()


class ResponsePlan(Outside):
    """Decisions of triage for one case; ``policy_version`` and ``policy_sha256`` name the rules that made them."""

    memory: Decision
    disk: Decision
    isolate: Decision
    policy_version: str
    policy_sha256: str = ""
    decided_at: Utc
    warnings: tuple[str, ...] = ()
    playbook: str = ""
    order: Order = Order.ACQUIRE_FIRST
    approval: ApprovalRequirement = ApprovalRequirement()
    containment: tuple[Measure, ...] = ()
    investigation: tuple[Lane, ...] = ()
    questions: tuple[Question, ...] = ()
    verifications: tuple[Verification, ...] = ()
    revision: int = Field(default=1, ge=1, description="grows when later findings extend the plan")

    @property
    def waiting(self) -> tuple[Action, ...]:
        """What only a person's order is missing for."""
        return tuple(decision.action for decision in self.decisions if decision.waits)

    @property
    def decisions(self) -> tuple[Decision, Decision, Decision]:
        """The three decisions: memory, disk, isolation."""
        return self.memory, self.disk, self.isolate
