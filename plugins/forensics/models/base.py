"""Base of all models: frozen; nothing unknown is accepted from outside, and what other releases have stored is read.

A table outlives releases: while one is rolled out, and after a rollback, a release reads items that a newer one wrote. Where a
model only gained fields, they are left out (:meth:`Model.stored`). Where an older release would do the wrong thing with what it
understands of an item, the model's :attr:`Model.SCHEMA` is raised in the same change: older releases then refuse the item.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    ValidationError,
)

from forensics.errors import StoredItemError

AccountId = Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$")]
InstanceId = Annotated[str, StringConstraints(pattern=r"^i-([0-9a-f]{8}|[0-9a-f]{17})$")]
ArtifactId = Annotated[str, StringConstraints(pattern=r"^(snap|ami)-([0-9a-f]{8}|[0-9a-f]{17})$")]
# What a case is about: an instance or an artifact.
SubjectId = Annotated[str, StringConstraints(pattern=r"^(i|snap|ami)-([0-9a-f]{8}|[0-9a-f]{17})$")]
CASE_ID_FORM = re.compile(r"fc-[0-9]{8}-[0-9a-f]{10}")
CaseId = Annotated[str, StringConstraints(pattern=rf"^{CASE_ID_FORM.pattern}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

ITEM_SCHEMA: Final = "item_schema"
"""Field of a stored item beside those of its model."""
NOT_A_SCHEMA: Final = 2**31


def format_utc(moment: datetime) -> str:
    """RFC 3339 in UTC with microseconds and an explicit ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _parse(value: object) -> object:
    if isinstance(value, datetime) and value.tzinfo is None:
        msg = "naive datetime: give it a time zone"
        raise ValueError(msg)
    return value


Utc = Annotated[AwareDatetime, BeforeValidator(_parse), PlainSerializer(format_utc, when_used="json")]


def of_schema(data: object) -> tuple[object, int]:
    """A stored item without its schema, and the schema: 1 where none was written."""
    if not isinstance(data, dict) or ITEM_SCHEMA not in data:
        return data, 1
    schema = data[ITEM_SCHEMA]
    return {k: v for k, v in data.items() if k != ITEM_SCHEMA}, schema if isinstance(schema, int) else NOT_A_SCHEMA


def _wrong(error: ValidationError) -> str:
    """What is wrong with an item: its first fields, without the values, which may be long and anybody's."""
    found = error.errors(include_url=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the whole'}: {e['msg']}" for e in found[:5])


class Model(BaseModel):
    """An immutable value; unknown fields are errors, except in what this product has stored."""

    SCHEMA: ClassVar[int] = 1
    """Raised when a release that knows the schema before it must not act on an item; 1 is not written down."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_enum_values=False)

    @classmethod
    def stored(cls, data: object) -> Self:
        """What was stored by this release or another one: fields that this release does not know are left out, at any depth.

        Raises :class:`StoredItemError` for an item of a newer schema, and for one whose known fields are not valid.
        """
        known, schema = of_schema(data)
        if schema > cls.SCHEMA:
            why = f"it has schema {schema}, this release knows schema {cls.SCHEMA}"
            raise StoredItemError.of(cls.__name__, data, why)
        try:
            return cls.model_validate(known, extra="ignore")
        except ValidationError as error:
            raise StoredItemError.of(cls.__name__, data, _wrong(error)) from error

    def to_store(self, *, by_alias: bool = True) -> dict[str, JsonValue]:
        """JSON for the case store, with the schema where it is not the first."""
        plain: dict[str, JsonValue] = self.model_dump(mode="json", by_alias=by_alias)
        return plain | ({ITEM_SCHEMA: self.SCHEMA} if self.SCHEMA > 1 else {})


class VersionedModel(Model):
    """A value whose item is changed on the condition that nobody else has changed it since it was read."""

    version: int = 0
