"""Reading single values of an event that has not been checked yet."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel, to_pascal

from forensics.errors import FindingError
from forensics.models.finding import Severity

REASON_LENGTH = 300
TITLE_LENGTH = 1024
_TYPE_LENGTH = 256
_TYPE_COUNT = 32
_VALUE_LENGTH = 80
_EARLIEST = datetime(2010, 1, 1, tzinfo=UTC)
_CLOCK_ERROR = timedelta(days=1)
# Epoch numbers from here on are milliseconds: as seconds they would lie beyond the year 5000.
_MILLISECONDS_FROM = 100_000_000_000

# What the new Security Hub puts before the specific type: true of the finding, but not specific.
_GENERIC_TYPES = frozenset({"threats", "posture management", "vulnerabilities", "sensitive data"})

_NORMALIZED_SCALE = ((90, Severity.CRITICAL), (70, Severity.HIGH), (40, Severity.MEDIUM), (1, Severity.LOW))
_GUARDDUTY_SCALE = ((9, Severity.CRITICAL), (7, Severity.HIGH), (4, Severity.MEDIUM), (1, Severity.LOW))


class QuarantineError(FindingError):
    """The event is malformed or contradicts itself."""

    default_action = "compare the event with the finding in the service that sent it, then send it again or discard it"


class ReceivedModel(BaseModel):
    """Base of the models of received events: they name only the fields that are read, all others are skipped."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CamelCaseModel(ReceivedModel):
    """Received fields that are spelled ``accountId``."""

    model_config = ConfigDict(alias_generator=to_camel)


class PascalCaseModel(ReceivedModel):
    """Received fields that are spelled ``AwsAccountId``."""

    model_config = ConfigDict(alias_generator=to_pascal)


def _none_as_empty_list(value: object) -> object:
    return [] if value is None else value


def _none_as_empty_object(value: object) -> object:
    return {} if value is None else value


JsonObject = dict[str, object]
Many = Annotated[list[object], BeforeValidator(_none_as_empty_list)]
Fields = Annotated[JsonObject, BeforeValidator(_none_as_empty_object)]
Shape = TypeVar("Shape", bound=ReceivedModel)


def quarantine(field: str, *, value: object, problem: str) -> QuarantineError:
    """Build the error that names field, value and problem, safe to show anywhere."""
    shown = clean(value if isinstance(value, str) else repr(value), limit=_VALUE_LENGTH)
    return QuarantineError(clean(f"{field}={shown!r}: {problem}", limit=REASON_LENGTH))


def read_as(shape: type[Shape], *, value: object, field: str) -> Shape:
    """Read ``value`` as ``shape``; :class:`QuarantineError` names the first field that does not fit."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([field, *map(str, first["loc"])])
        raise quarantine(where, value=first["input"], problem=first["msg"]) from error


def clean(text: str, *, limit: int) -> str:
    """Remove control, format and surrogate characters and cut to ``limit`` characters.

    Titles are written by whoever names a resource: they must not steer a terminal, a log or the reading
    direction.
    """
    head = text[: limit * 4]
    visible = "".join(
        " " if char in "\t\r\n" else char for char in head if char in "\t\r\n" or unicodedata.category(char)[0] != "C"
    )
    joined = " ".join(visible.split())
    return joined if len(joined) <= limit else joined[: limit - 1] + "…"


def title_of(*candidates: object) -> str:
    """Return the first candidate with visible text, cleaned."""
    for candidate in candidates:
        if isinstance(candidate, str) and (text := clean(candidate, limit=TITLE_LENGTH)):
            return text
    return "untitled finding"


def types_of(values: Iterable[object]) -> tuple[str, ...]:
    """Clean the finding's types, specific ones first."""
    texts = [clean(value, limit=_TYPE_LENGTH) for value in values if isinstance(value, str)]
    known = dict.fromkeys(text for text in texts if text)
    return tuple(sorted(known, key=lambda text: text.lower() in _GENERIC_TYPES)[:_TYPE_COUNT])


def members(value: object) -> JsonObject:
    """Return ``value`` when it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def elements(value: object) -> list[object]:
    """Return ``value`` when it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def truth(value: object) -> bool:
    """Read a flag that some services send as text."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def number(value: object) -> float | None:
    """Read a number that some services send as text; None when it is not a finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def moment(*candidates: object, received_at: datetime) -> datetime | None:
    """Return the first believable time among ISO 8601 texts, RFC 5322 dates, epoch seconds and milliseconds, in UTC.

    Times before 2010 (samples carry 1970) or more than a day ahead of our clock are not believable. A text
    without a time zone is UTC: GuardDuty writes attack sequences that way.
    """
    for candidate in candidates:
        found = _moment(candidate)
        if found is not None and _EARLIEST <= found <= received_at + _CLOCK_ERROR:
            return found
    return None


def _moment(value: object) -> datetime | None:
    try:
        if isinstance(value, str) and value.strip():
            parsed = _from_text(value.strip())
            return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _from_text(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return parsedate_to_datetime(text)


def vpc_of(details: object, *, interfaces: str, name: str) -> object:
    """The VPC of an instance's first network interface, as GuardDuty and OCSF describe it."""
    first = next(iter(elements(members(details).get(interfaces))), None)
    return members(first).get(name)


def severity_of_label(value: object) -> Severity | None:
    """Read ASFF ``Severity.Label`` or an OCSF severity name."""
    label = value.strip().upper() if isinstance(value, str) else ""
    label = {"FATAL": "CRITICAL", "INFO": "INFORMATIONAL"}.get(label, label)
    return Severity(label) if label in Severity.__members__ else None


def severity_of_normalized(value: object) -> Severity | None:
    """Read ASFF ``Severity.Normalized`` (0 to 100)."""
    return _on_scale(value, _NORMALIZED_SCALE)


def severity_of_guardduty(value: object) -> Severity | None:
    """Read GuardDuty's severity (1.0 to 10.0)."""
    return _on_scale(value, _GUARDDUTY_SCALE)


def _on_scale(value: object, scale: tuple[tuple[int, Severity], ...]) -> Severity | None:
    level = number(value)
    if level is None:
        return None
    return next((severity for floor, severity in scale if level >= floor), Severity.INFORMATIONAL)
