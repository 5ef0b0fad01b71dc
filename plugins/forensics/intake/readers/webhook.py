"""A finding that a program of others (EDR, CNAPP, ticket system) posts, signed with a key that it shares with the deployment.

The front door (``infra/cloudformation/webhook.yaml``) puts key id, signature and body into the queue as they came, each in
base64. This reader checks their form and says what they state; whether the signature is right, in time and new, is checked
by :mod:`forensics.intake.webhook_senders` before anything is opened.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from forensics.intake.readers.envelope import Envelope, parse_object
from forensics.intake.readers.fields import (
    ReceivedModel,
    clean,
    moment,
    quarantine,
    read_as,
    severity_of_label,
    title_of,
    types_of,
)
from forensics.intake.readers.identifiers import parse_subject
from forensics.intake.readers.parsed_finding import Binding, IntakeRules, ParsedFinding
from forensics.intake.readers.peers import MOST, domain
from forensics.models.addresses import public
from forensics.models.finding import FindingSource
from forensics.models.webhook import KEY_ID, SignedWebhook

SOURCE = "webhook"
DETAIL_TYPE = "Signed Webhook"
SCHEMA = "forensics.webhook/1"
MAXIMUM_BYTES = 128 * 1024
_SIGNATURE = re.compile(r"t=([0-9]{1,11}),v1=([0-9a-f]{64})")

Text = Annotated[str, StringConstraints(max_length=20_000)]


class WebhookFinding(ReceivedModel):
    """The body of a webhook. Every text in it is a stranger's."""

    # We define this format, so unknown fields are refused: a misspelt one would change what is known of a machine.
    model_config = ConfigDict(extra="forbid", strict=True, title="Finding posted to the forensic pipeline")

    form: Literal["forensics.webhook/1"] = Field(alias="schema", description="the form of this body")
    id: str = Field(
        min_length=1,
        max_length=200,
        description="the alert's id at its sender: the same id about the same instance is the same finding",
    )
    account_id: str = Field(pattern=r"^[0-9]{12}$", description="account of the instance")
    region: str = Field(max_length=40, description="Region of the instance")
    instance_id: str = Field(max_length=40, description="the EC2 instance; or a snapshot (snap-…) or an image (ami-…)")
    title: Text = Field(description="what was found, in one line")
    severity: Literal["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"] | None = Field(
        default=None, description="left out: taken as MEDIUM, and the plan says so"
    )
    types: list[Text] = Field(
        default=[],
        max_length=32,
        description="kinds of the finding, as GuardDuty spells them where there is such a kind",
    )
    description: Text = Field(default="", description="more about it; the first 1000 characters are kept")
    observed_at: str | None = Field(
        default=None, max_length=64, description="when it was seen, in ISO 8601 with a zone"
    )
    addresses: list[str] = Field(default=[], max_length=1000, description="public addresses at the other end")
    domains: list[str] = Field(default=[], max_length=1000, description="DNS names at the other end")


def open_detail(envelope: Envelope) -> SignedWebhook:
    """The message as it was sent; raises :class:`QuarantineError` when it has not the form of one."""
    key_id = _text(envelope, "key", limit=100)
    if not re.fullmatch(KEY_ID, key_id):
        raise quarantine(
            "X-Forensics-Key", value=key_id, problem="a key id is the sender's name, a dot, the key's name"
        )
    given = _text(envelope, "signature", limit=200)
    signature = _SIGNATURE.fullmatch(given)
    if signature is None:
        raise quarantine("X-Forensics-Signature", value=given, problem="not t=<Unix time>,v1=<64 hexadecimal digits>")
    body = _decoded(envelope, "body", limit=MAXIMUM_BYTES)
    address = envelope.detail.get("address")
    return SignedWebhook(
        key_id=key_id,
        at=int(signature[1]),
        digest=signature[2],
        body=base64.b64encode(body).decode("ascii"),
        address=clean(address, limit=64) if isinstance(address, str) else "",
    )


def signature_of(signed: SignedWebhook, *, key: str) -> str:
    """What the signature has to be: HMAC-SHA-256 of ``<time>.<key id>.<body>`` (RFC 2104), hexadecimal."""
    text = f"{signed.at}.{signed.key_id}.".encode() + base64.b64decode(signed.body)
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest()


def read(signed: SignedWebhook, *, rules: IntakeRules) -> ParsedFinding:
    """Read one message; raises :class:`QuarantineError`."""
    try:
        text = base64.b64decode(signed.body).decode("utf-8")
    except UnicodeDecodeError as error:
        raise quarantine("body", value=str(error), problem="not UTF-8") from error
    found = read_as(WebhookFinding, value=parse_object(text), field="body")
    return ParsedFinding(
        source=FindingSource.WEBHOOK,
        # The sender's name is part of it: no sender can speak in the name of another one's alert.
        finding_id=f"{SOURCE}/{signed.sender}/{found.id}",
        account=found.account_id,
        region=found.region,
        instances=(parse_subject(found.instance_id, field="body.instance_id"),),
        title=title_of(found.title),
        # The front door is in the forensic account; which accounts a sender may speak of is in its secret.
        account_binding=Binding.FREE,
        region_binding=Binding.FREE,
        types=types_of(found.types),
        severity=severity_of_label(found.severity),
        created_at=moment(found.observed_at, received_at=rules.received_at),
        updated_at=moment(signed.at, received_at=rules.received_at),
        product=f"{SOURCE}/{signed.sender}",
        reason=clean(found.description, limit=1000) or None,
        peers=tuple(dict.fromkeys(a for text in found.addresses if (a := public(text))))[:MOST],
        domains=tuple(dict.fromkeys(d for text in found.domains if (d := domain(text))))[:MOST],
    )


def _text(envelope: Envelope, name: str, *, limit: int) -> str:
    return _decoded(envelope, name, limit=limit).decode("utf-8", "replace")


def _decoded(envelope: Envelope, name: str, *, limit: int) -> bytes:
    value = envelope.detail.get(name)
    if not isinstance(value, str):
        raise quarantine(f"detail.{name}", value=value, problem="not text")
    try:
        found = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise quarantine(f"detail.{name}", value=value, problem="not base64") from error
    if len(found) > limit:
        raise quarantine(f"detail.{name}", value=value, problem=f"more than {limit} bytes")
    return found
