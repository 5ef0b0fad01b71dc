"""The never-isolate list: what the product must not isolate by itself."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from forensics.models.base import Model, Utc
from forensics.models.policy import PROTECTED_PREFIX


class NeverIsolateKind(StrEnum):
    """How an entry identifies instances."""

    INSTANCE = "instance"
    AUTO_SCALING_GROUP = "auto_scaling_group"
    VPC = "vpc"
    SUBNET = "subnet"
    ROLE = "role"
    ACCOUNT = "account"
    IMAGE = "image"
    TAG = "tag"

    @property
    def changeable(self) -> bool:
        """Whether principals of the target's account can make a running instance match, or match no more.

        ``ec2:CreateTags``, ``autoscaling:AttachInstances`` and ``ec2:AssociateIamInstanceProfile`` work on running instances.
        The SCP on the namespace of tags does not bind service-linked roles: Auto Scaling's puts the group's tags on the
        instances that it launches (AWS Organizations user guide, *Service control policies*; EC2 Auto Scaling user guide,
        *Tag Auto Scaling groups and instances*).
        """
        return self in {NeverIsolateKind.TAG, NeverIsolateKind.AUTO_SCALING_GROUP, NeverIsolateKind.ROLE}


class NeverIsolateEntry(Model):
    """One line of the list."""

    id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{1,47}$")]
    kind: NeverIsolateKind
    value: str = Field(min_length=1, max_length=256, description="id, name or ARN; for a tag key or key=value")
    account_id: str | None = Field(
        default=None, pattern=r"^[0-9]{12}$", description="only in this account; all when absent"
    )
    reason: str = Field(min_length=3, max_length=200)
    until: Utc | None = Field(default=None, description="when the entry expires")

    @model_validator(mode="after")
    def _tag_is_protected(self) -> Self:
        if self.kind is NeverIsolateKind.TAG and not self.value.startswith(PROTECTED_PREFIX):
            # Anybody who may tag an instance, an intruder included, could otherwise protect it from isolation.
            msg = f"a tag of the list must be in the namespace {PROTECTED_PREFIX} that the SCP protects"
            raise ValueError(msg)
        return self


class NeverIsolateList(Model):
    """One version of the list."""

    schema_name: str = Field(alias="schema", pattern="^forensics.never-isolate/1$")
    version: str = Field(min_length=1, max_length=40)
    entries: tuple[NeverIsolateEntry, ...] = ()

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [entry.id for entry in self.entries]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            msg = f"entry {twice[0]} occurs twice"
            raise ValueError(msg)
        return self
