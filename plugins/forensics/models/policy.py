"""The response policy as data: finding type -> playbook, and what nobody may switch off."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, StringConstraints, model_validator

from forensics.deployment import DEPLOYMENT
from forensics.models.base import AccountId, Model
from forensics.models.finding import CustomAction, Severity
from forensics.models.plan import Action, Lane, Measure, Order, Question

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,47}$")]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=160)]
Sentence = Annotated[str, StringConstraints(min_length=3, max_length=300)]
PROTECTED_PREFIX = f"{DEPLOYMENT}:"


class Isolation(StrEnum):
    """When a playbook isolates without a person's order."""

    NEVER = "never"
    BY_SEVERITY = "by-severity"
    WHEN_ACTOR = "when-actor"


class WhenTarget(StrEnum):
    """What GuardDuty's ``resourceRole = TARGET`` changes: the instance is attacked, it does not act."""

    AS_USUAL = "as-usual"
    NO_ISOLATION = "no-isolation"
    TRIAGE_ONLY = "triage-only"


class Playbook(Model):
    """What is done about one kind of finding."""

    title: Sentence
    acquire: tuple[Action, ...] = (Action.MEMORY, Action.DISK)
    acquire_from: Severity | None = Field(default=None, description="instead of the policy's threshold")
    isolate: Isolation = Isolation.BY_SEVERITY
    isolate_from: Severity | None = Field(default=None, description="instead of the policy's threshold")
    when_target: WhenTarget = WhenTarget.NO_ISOLATION
    order: Order = Order.ACQUIRE_FIRST
    approval: Sentence | None = Field(default=None, description="why a person has to approve the isolation")
    containment: tuple[Measure, ...] = ()
    investigation: tuple[Lane, ...] = ()
    questions: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _acquires_evidence(self) -> Self:
        if Action.ISOLATE in self.acquire:
            msg = "acquire may hold memory and disk; isolation has a field of its own"
            raise ValueError(msg)
        return self


class Rule(Model):
    """Finding types, as GuardDuty spells them, with ``*`` for any text -> playbook."""

    types: tuple[Pattern, ...] = Field(min_length=1)
    playbook: Name


class ActionRule(Model):
    """What a person's custom action asks for."""

    memory: bool
    disk: bool
    isolate: bool
    release: bool = False


class Thresholds(Model):
    """The lowest severities that acquire and that isolate."""

    acquire_from: Severity = Severity.MEDIUM
    isolate_from: Severity = Severity.HIGH


class TrustedProduct(Model):
    """A product whose findings may isolate without a person's word.

    ``product``: company and product of its ARN in Security Hub (``aws/guardduty``; a product of one's own is
    ``<account>/default``). ``accounts``: the accounts that its findings may be about; ``*`` for all.
    """

    product: str = Field(pattern=r"^[A-Za-z0-9._-]+/[A-Za-z0-9._-]+$")
    accounts: tuple[str, ...] = ("*",)


class TagRules(Model):
    """Tags may ask for more. A tag that asks for less is reported and ignored."""

    acquire: str = Field(pattern=f"^{PROTECTED_PREFIX}", description="in the namespace that the SCP protects")
    suppressing: tuple[str, ...] = ()
    harmless: tuple[str, ...] = ("true", "yes", "required")


class ScopeKind(StrEnum):
    """How a line of the scope names targets.

    Tags of instances and security groups are those that EC2 shows; tags of accounts, and of the organizational units (or the
    root) above them, those that AWS Organizations shows.
    """

    INSTANCE_TAG = "instance_tag"
    SECURITY_GROUP_TAG = "security_group_tag"
    ACCOUNT = "account"
    ACCOUNT_GROUP = "account_group"
    ACCOUNT_TAG = "account_tag"
    UNIT_TAG = "organizational_unit_tag"


class ScopeEntry(Model):
    """One line of the scope: a target that it names is acquired or isolated without a person's order."""

    kind: ScopeKind
    value: str = Field(
        min_length=1, max_length=256, description="account id, name of a group; for a tag key or key=value"
    )

    @model_validator(mode="after")
    def _names_what_it_says(self) -> Self:
        tag = self.kind not in {ScopeKind.ACCOUNT, ScopeKind.ACCOUNT_GROUP}
        if tag and not (self.value.startswith(PROTECTED_PREFIX) and self.value.partition("=")[0] != PROTECTED_PREFIX):
            # Whoever may remove a tag, an intruder included, could otherwise take an instance out of the scope.
            msg = f"a tag of the scope must be in the namespace {PROTECTED_PREFIX} that the SCP protects"
            raise ValueError(msg)
        if self.kind is ScopeKind.ACCOUNT and not re.fullmatch(r"[0-9]{12}", self.value):
            msg = f"{self.value!r} is not the 12 digits of an account"
            raise ValueError(msg)
        return self


InScope: TypeAlias = Literal["all"] | Annotated[tuple[ScopeEntry, ...], Field(min_length=1)]


class Scope(Model):
    """Which targets are acquired and isolated without a person's order: all, or those that one of the lines names.

    ``account_groups``: names for lists of accounts (the accounts of an organizational unit, for instance).
    """

    acquire: InScope = "all"
    isolate: InScope = "all"
    account_groups: dict[Name, tuple[AccountId, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _groups_are_defined(self) -> Self:
        lines = [*(self.acquire if self.acquire != "all" else ()), *(self.isolate if self.isolate != "all" else ())]
        used = [line.value for line in lines if line.kind is ScopeKind.ACCOUNT_GROUP]
        if unknown := sorted({name for name in used if name not in self.account_groups}):
            msg = f"account group {unknown[0]} is used but not defined in account_groups"
            raise ValueError(msg)
        return self


class Policy(Model):
    """One version of the policy; names that it uses are all defined in it."""

    schema_name: str = Field(alias="schema", pattern="^forensics.policy/1$")
    version: str = Field(min_length=1, max_length=40)
    thresholds: Thresholds = Thresholds()
    trusted: tuple[TrustedProduct, ...] = ()
    scope: Scope = Scope()
    tags: TagRules
    actions: dict[CustomAction, ActionRule]
    questions: dict[str, Question]
    playbooks: dict[Name, Playbook]
    rules: tuple[Rule, ...]
    families: dict[str, Name]
    posture: Name
    manual: Name
    default: Name

    @model_validator(mode="before")
    @classmethod
    def _name_questions(cls, values: object) -> object:
        """A question's id is its key in the file."""
        if not isinstance(values, dict) or not isinstance(values.get("questions"), dict):
            return values
        questions = values["questions"]
        named = {key: {"id": key, **value} if isinstance(value, dict) else value for key, value in questions.items()}
        return {**values, "questions": named}

    @model_validator(mode="after")
    def _is_closed(self) -> Self:
        used = [rule.playbook for rule in self.rules] + [
            *self.families.values(),
            self.posture,
            self.manual,
            self.default,
        ]
        unknown = [f"playbook {name}" for name in used if name not in self.playbooks]
        for name, playbook in self.playbooks.items():
            unknown += [f"question {q} (of playbook {name})" for q in playbook.questions if q not in self.questions]
        unknown += [f"custom action {action.value}" for action in CustomAction if action not in self.actions]
        if unknown:
            msg = f"used but not defined: {', '.join(dict.fromkeys(unknown))}"
            raise ValueError(msg)
        if self.playbooks[self.posture].isolate is not Isolation.NEVER:
            msg = f"playbook {self.posture} is for posture findings, which never isolate: set isolate to never"
            raise ValueError(msg)
        asking = [
            a.value for a, rule in self.actions.items() if rule.release and (rule.isolate or rule.memory or rule.disk)
        ]
        if asking:
            msg = f"custom action {asking[0]} releases the target: it cannot acquire or isolate as well"
            raise ValueError(msg)
        return self
