"""Our own event: a person's request for a case (source ``forensics.manual``), signed with the KMS key.

The parser refuses what is unsigned, expired or valid for too long. Whether the key made the signature, and whether the
nonce is new, is checked with KMS and the case table before the plan is made (``forensics.triage.finding_verifier``).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import rfc8785
from pydantic import BeforeValidator, ConfigDict, StringConstraints

from forensics.deployment import DEPLOYMENT
from forensics.intake.readers.envelope import Envelope
from forensics.intake.readers.fields import JsonObject, ReceivedModel, clean, moment, quarantine, read_as, title_of
from forensics.intake.readers.identifiers import parse_subject
from forensics.intake.readers.parsed_finding import Binding, IntakeRules, ParsedFinding
from forensics.models.finding import FindingSource, RequestSignature, Severity
from forensics.models.plan import Action

SOURCE = f"{DEPLOYMENT}.manual"
SIGNED_FIELDS = ("account_id", "region", "instance_id")
LONGEST = timedelta(hours=1)
_CLOCK_ERROR = timedelta(minutes=2)
_ACTIONS = tuple(action.value for action in Action)


def _as_decisions(value: object) -> object:
    """Read a list as what is wanted: what it leaves out is declined."""
    if not isinstance(value, dict | list):
        return value
    unknown = [name for name in value if name not in _ACTIONS]
    if unknown:
        msg = f"unknown action {unknown[0]!r}; there are {', '.join(_ACTIONS)}"
        raise ValueError(msg)
    return value if isinstance(value, dict) else {name: name in value for name in _ACTIONS}


Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]


class _SignatureFields(ReceivedModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    key_id: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    value: Annotated[str, StringConstraints(min_length=8, max_length=2048)]


class _SignedRequest(ReceivedModel):
    # We define this format, so unknown fields are refused: a misspelt one would change what happens to a machine.
    model_config = ConfigDict(extra="forbid", strict=True)

    account_id: str
    region: str
    instance_id: str
    reason: Text
    requester: Text
    actions: Annotated[dict[str, bool] | None, BeforeValidator(_as_decisions)] = None
    nonce: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{16,64}$")]
    expires_at: str
    signature: _SignatureFields


def read(item: JsonObject, *, field: str, envelope: Envelope, rules: IntakeRules) -> ParsedFinding:
    """Read one request; raises :class:`QuarantineError`."""
    request = read_as(_SignedRequest, value=item, field=field)
    requester = clean(request.requester, limit=256)
    return ParsedFinding(
        source=FindingSource.MANUAL,
        # The nonce, not the event: a request that is sent again is the same request.
        finding_id=f"manual/{request.nonce}",
        account=request.account_id,
        region=request.region,
        instances=(parse_subject(request.instance_id, field=f"{field}.instance_id"),),
        title=title_of(f"Case requested by {requester}"),
        # Whoever sends the event uses another account than the target's; the bus policy says who may.
        account_binding=Binding.FREE,
        region_binding=Binding.FREE,
        types=("Manual request",),
        # Without explicit actions a request acquires and does not isolate.
        severity=Severity.MEDIUM,
        created_at=moment(envelope.time, received_at=rules.received_at) or rules.received_at,
        product="Forensics",
        requester=requester,
        reason=clean(request.reason, limit=1000),
        requested=request.actions,
        signature=RequestSignature(
            key_id=request.signature.key_id,
            value=request.signature.value,
            message=signed_text(item, field=field),
            nonce=request.nonce,
            expires_at=_expiry(request, field=field, rules=rules),
        ),
    )


def signed_text(item: JsonObject, *, field: str = "detail") -> str:
    """What the signature is over: the request without it, in RFC 8785 canonical JSON."""
    unsigned: dict[str, Any] = {name: value for name, value in item.items() if name != "signature"}
    try:
        return rfc8785.dumps(unsigned).decode("utf-8")
    except (rfc8785.CanonicalizationError, ValueError) as error:
        raise quarantine(field, value=str(error), problem="the request has no canonical JSON form") from error


def _expiry(request: _SignedRequest, *, field: str, rules: IntakeRules) -> datetime:
    where = f"{field}.expires_at"
    try:
        until = datetime.fromisoformat(request.expires_at)
    except ValueError as error:
        raise quarantine(where, value=request.expires_at, problem="not a time in ISO 8601") from error
    if until.tzinfo is None:
        raise quarantine(where, value=request.expires_at, problem="has no time zone")
    if until <= rules.received_at - _CLOCK_ERROR:
        raise quarantine(where, value=request.expires_at, problem="the request has expired")
    if until > rules.received_at + LONGEST + _CLOCK_ERROR:
        minutes = int(LONGEST.total_seconds() // 60)
        raise quarantine(where, value=request.expires_at, problem=f"a request is valid for at most {minutes} minutes")
    return until.astimezone(UTC)
