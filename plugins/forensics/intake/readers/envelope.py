"""From the text of a queue message to one EventBridge event."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from forensics.deployment import DEPLOYMENT
from forensics.intake.readers.fields import JsonObject, clean, elements, members, quarantine
from forensics.intake.readers.identifiers import check_account, check_region

# One SQS message, and one EventBridge entry, may have 1 MiB (SQS developer guide, "Amazon SQS message quotas").
MAXIMUM_BYTES = 1024 * 1024
MAXIMUM_DEPTH = 60
_MAXIMUM_WRAPPING = 3

IMPORTED = "Security Hub Findings - Imported"
CUSTOM_ACTION = "Security Hub Findings - Custom Action"
IMPORTED_V2 = "Findings Imported V2"
GUARDDUTY = "GuardDuty Finding"
CONFIG = "Config Rules Compliance Change"
# Source of the test event that shows that the way from the security account to here is open; no service uses it.
HEARTBEAT_SOURCE = f"{DEPLOYMENT}.preflight"
SNS_CONFIRMATION = "SNS subscription message"


@dataclass(frozen=True)
class Envelope:
    """What EventBridge says about an event; account and Region are None where it came without envelope."""

    detail_type: str
    source: str | None
    detail: JsonObject
    event_id: str | None = None
    account: str | None = None
    region: str | None = None
    time: str | None = None
    resources: tuple[str, ...] = ()
    bare: bool = False


def open_body(body: object) -> Envelope:
    """Read the body of a queue message: an EventBridge event, one that SNS wrapped, or a bare finding.

    Raises :class:`QuarantineError` for anything else.
    """
    message = parse_object(body)
    for _ in range(_MAXIMUM_WRAPPING):
        if "detail-type" in message or "Message" not in message:
            break
        if message.get("Type") in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
            return Envelope(
                detail_type=SNS_CONFIRMATION,
                source="aws.sns",
                detail={},
                event_id=_text(message, "MessageId"),
            )
        inner = message["Message"]
        message = inner if isinstance(inner, dict) else parse_object(inner)
    return _envelope(message) if "detail-type" in message else _bare(message)


def check_ids(envelope: Envelope) -> None:
    """Raise :class:`QuarantineError` when the envelope's own account or Region cannot be right."""
    if envelope.account is not None:
        check_account(envelope.account, field="account")
    if envelope.region is not None:
        check_region(envelope.region, field="region")


def parse_object(body: object) -> JsonObject:
    """Read a text as one JSON object that every parser reads alike; raises :class:`QuarantineError`."""
    if not isinstance(body, str):
        raise quarantine("body", value=body, problem="the message body is not text")
    size = len(body.encode("utf-8", "surrogatepass"))
    if size > MAXIMUM_BYTES:
        raise quarantine(
            "body", value=body, problem=f"{size} bytes are more than a queue message may have ({MAXIMUM_BYTES})"
        )
    try:
        # Some senders begin their files with a byte order mark (RFC 8259, section 8.1: a reader may ignore it).
        message = json.loads(body.removeprefix("\ufeff"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError as error:
        raise quarantine("body", value=body, problem=f"nested deeper than {MAXIMUM_DEPTH}") from error
    except ValueError as error:
        raise quarantine("body", value=body, problem=f"not JSON: {error}") from error
    if not isinstance(message, dict):
        raise quarantine("body", value=message, problem="not a JSON object")
    _check_depth(message)
    return message


def _unique(pairs: list[tuple[str, object]]) -> JsonObject:
    result = dict(pairs)
    if len(result) != len(pairs):
        # Two parsers could read two different accounts from such an object.
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, _ in pairs if counts[name] > 1)
        raise quarantine(
            clean(twice, limit=60),
            value=[v for k, v in pairs if k == twice],
            problem="the field occurs twice",
        )
    return result


def _no_constant(name: str) -> None:
    msg = f"{name} is not a JSON number"
    raise ValueError(msg)


def _check_depth(message: JsonObject) -> None:
    level: list[object] = [message]
    for _ in range(MAXIMUM_DEPTH):
        level = [child for node in level for child in _containers(node)]
        if not level:
            return
    raise quarantine("body", value=message, problem=f"nested deeper than {MAXIMUM_DEPTH}")


def _containers(node: object) -> list[object]:
    """The objects and arrays directly inside a JSON object or array."""
    children = members(node).values() if isinstance(node, dict) else elements(node)
    return [child for child in children if isinstance(child, dict | list)]


def _envelope(message: JsonObject) -> Envelope:
    detail = message.get("detail")
    if not isinstance(detail, dict):
        raise quarantine("detail", value=detail, problem="an event's detail is a JSON object")
    detail_type = message["detail-type"]
    if not isinstance(detail_type, str) or not detail_type:
        raise quarantine("detail-type", value=detail_type, problem="an event's detail-type is text")
    return Envelope(
        detail_type=detail_type,
        source=_text(message, "source"),
        detail=detail,
        event_id=_text(message, "id"),
        account=_text(message, "account"),
        region=_text(message, "region"),
        time=_text(message, "time"),
        resources=tuple(r for r in elements(message.get("resources")) if isinstance(r, str)),
    )


def _text(message: JsonObject, field: str) -> str | None:
    value = message.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise quarantine(field, value=value, problem="not text")
    return value


def _bare(message: JsonObject) -> Envelope:
    found = _recognise(message)
    if found is None:
        fields = ", ".join(sorted(message)[:8])
        raise quarantine(
            "body", value=fields, problem="these fields are neither an EventBridge event nor a known finding"
        )
    detail_type, source, detail = found
    return Envelope(detail_type=detail_type, source=source, detail=detail, bare=True)


def _recognise(message: JsonObject) -> tuple[str, str, JsonObject] | None:
    fields = message.keys()
    findings = message.get("findings")
    if isinstance(findings, list):
        first = findings[0] if findings else None
        ocsf = isinstance(first, dict) and "finding_info" in first
        return IMPORTED_V2 if ocsf else IMPORTED, "aws.securityhub", message
    if fields >= {"class_uid", "finding_info"}:
        return IMPORTED_V2, "aws.securityhub", {"findings": [message]}
    if fields >= {"AwsAccountId", "Id"}:
        return IMPORTED, "aws.securityhub", {"findings": [message]}
    if fields >= {"configRuleName", "newEvaluationResult"}:
        return CONFIG, "aws.config", message
    lowered = {name[:1].lower() + name[1:] for name in fields}
    if lowered >= {"accountId", "type", "service"}:
        return GUARDDUTY, "aws.guardduty", message
    return None
