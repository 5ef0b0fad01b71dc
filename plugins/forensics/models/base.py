"""Base of all models: frozen, nothing unknown accepted."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints

AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$")]
InstanceId = Annotated[str, StringConstraints(pattern=r"^i-([0-9a-f]{8}|[0-9a-f]{17})$")]
ArtifactId = Annotated[str, StringConstraints(pattern=r"^(snap|ami)-([0-9a-f]{8}|[0-9a-f]{17})$")]
# What a case is about: an instance or an artifact.
SubjectId = Annotated[str, StringConstraints(pattern=r"^(i|snap|ami)-([0-9a-f]{8}|[0-9a-f]{17})$")]
CASE_ID_FORM = re.compile(r"fc-[0-9]{8}-[0-9a-f]{10}")
CaseId = Annotated[str, StringConstraints(pattern=rf"^{CASE_ID_FORM.pattern}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def format_utc(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and an explicit ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is None:
        msg = "naive datetime: give it a time zone"
        raise ValueError(msg)
    return value


Utc = Annotated[AwareDatetime, BeforeValidator(_parse), PlainSerializer(format_utc, when_used="json")]


class Model(BaseModel):
    """An immutable value; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)


class VersionedModel(Model):
    """A value whose item is changed on the condition that nobody else has changed it since it was read."""

    version: int = 0
