"""Our own event: a person asks for a case (source ``forensics.manual``)."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, StringConstraints

from forensics.ingest.claims import Binding, Claim, Rules
from forensics.ingest.envelope import Envelope
from forensics.ingest.fields import Arriving, clean, moment, read_as, title_of
from forensics.ingest.identifiers import parse_instance
from forensics.models.finding import FindingSource, Severity
from forensics.models.plan import Action

SOURCE = "forensics.manual"
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


class _Request(Arriving):
    # A person's request is ours to define: a misspelt field would change what happens to a machine.
    model_config = ConfigDict(extra="forbid", strict=True)

    account_id: str
    region: str
    instance_id: str
    reason: Text
    requester: Text
    actions: Annotated[dict[str, bool] | None, BeforeValidator(_as_decisions)] = None


def read(item: dict[str, Any], *, field: str, envelope: Envelope, rules: Rules) -> Claim:
    """Read one request; raises :class:`QuarantineError`."""
    request = read_as(_Request, value=item, field=field)
    requester = clean(request.requester, limit=256)
    return Claim(
        source=FindingSource.MANUAL,
        finding_id=_finding_id(item, envelope=envelope),
        account=request.account_id,
        region=request.region,
        instances=(parse_instance(request.instance_id, field=f"{field}.instance_id"),),
        title=title_of(f"Case requested by {requester}"),
        # Whoever puts the event sits in another account than the target; the bus says who may.
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
    )


def _finding_id(item: dict[str, Any], *, envelope: Envelope) -> str:
    """The event's id, or a digest of the request: the queue may deliver the same request twice."""
    if envelope.event_id:
        return f"manual/{clean(envelope.event_id, limit=128)}"
    text = json.dumps(item, sort_keys=True)
    return f"manual/{hashlib.sha256(text.encode('utf-8')).hexdigest()[:32]}"
