"""Signed webhooks as the front door puts them into the queue; made as docs/webhook.md says, without the product's code."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import datetime
from typing import Any

KEY_ID = "edr.2026-10"
KEY = "k" * 43 + "EXAMPLE"
BODY: dict[str, Any] = {
    "schema": "forensics.webhook/1",
    "id": "EDR-4711",
    "account_id": "333344445555",
    "region": "eu-central-1",
    "instance_id": "i-0aaaaaaaaaaaaaaa1",
    "title": "Reverse shell from nginx",
    "severity": "HIGH",
    "types": ["Execution:Runtime/ReverseShell"],
    "description": "sh -i under nginx, connected to 203.0.113.9",
    "observed_at": "2026-10-05T08:14:00Z",
    "addresses": ["203.0.113.9", "10.0.0.7"],
    "domains": ["c2.example.org"],
}


def signature(body: bytes, *, key: str = KEY, key_id: str = KEY_ID, at: int) -> str:
    """The header ``X-Forensics-Signature``."""
    digest = hmac.new(key.encode(), f"{at}.{key_id}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def posted(body: bytes, *, key_id: str, signed: str, address: str = "198.51.100.7") -> dict[str, Any]:
    """The event that the front door makes of a request."""
    words = {"key": key_id.encode(), "signature": signed.encode(), "body": body}
    return {
        "id": "6b1c9d3e-0000-4000-8000-000000000001",
        "source": "webhook",
        "detail-type": "Signed Webhook",
        "detail": {**{k: base64.b64encode(v).decode() for k, v in words.items()}, "address": address},
    }


def webhook(at: datetime, *, key: str = KEY, key_id: str = KEY_ID, **changes: Any) -> dict[str, Any]:
    """A signed one; a change of None takes the field out."""
    body = json.dumps({k: v for k, v in {**BODY, **changes}.items() if v is not None}).encode()
    return posted(body, key_id=key_id, signed=signature(body, key=key, key_id=key_id, at=int(at.timestamp())))


if __name__ == "__main__":
    from forensics.intake.readers.webhook import WebhookFinding

    print(json.dumps(WebhookFinding.model_json_schema(), indent=2))
