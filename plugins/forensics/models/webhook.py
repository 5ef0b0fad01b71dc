"""What a program of others sends as a signed webhook, and how its senders are known."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from forensics.models.base import AccountId, Model, Utc
from forensics.models.outside import Outside

SENDER = r"[a-z][a-z0-9-]{0,30}"
KEY_ID = rf"^{SENDER}\.[A-Za-z0-9_-]{{1,40}}$"

KeyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
Key = Annotated[str, StringConstraints(min_length=32, max_length=500)]


class WebhookAccess(Model):
    """A sender, as its secret says it: the keys it may sign with, and the accounts that it may speak about (``*``: all).

    Two keys at a time: the new one is put in before the sender changes to it, and the old one taken out afterwards.
    """

    keys: dict[KeyName, Key] = Field(min_length=1, max_length=3)
    accounts: tuple[AccountId, ...] | tuple[Annotated[str, StringConstraints(pattern=r"^\*$")]] = Field(min_length=1)

    @model_validator(mode="after")
    def _keys_differ(self) -> Self:
        if len(set(self.keys.values())) != len(self.keys):
            msg = "two keys are the same"
            raise ValueError(msg)
        return self

    def speaks_of(self, account_id: str) -> bool:
        """Whether findings about an account are this sender's to report."""
        return "*" in self.accounts or account_id in self.accounts


class SignedWebhook(Outside):
    """A message as it was sent, with its signature; nothing has been checked but its form."""

    key_id: str = Field(pattern=KEY_ID)
    at: int = Field(ge=0, le=10**11, description="Unix time that the signature says")
    digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="HMAC-SHA-256 that the sender gives")
    body: str = Field(description="base64 of the signed bytes")
    address: str = Field(default="", max_length=64, description="where the request came from, as the front door says")

    @property
    def sender(self) -> str:
        """The name of the sender."""
        return self.key_id.partition(".")[0]


class WebhookProof(Model):
    """That the intake has checked a finding's signature. No reader of events sets it: a message cannot bring it along."""

    key_id: str = Field(pattern=KEY_ID)
    signed_at: Utc
    body_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def sender(self) -> str:
        """The name of the sender."""
        return self.key_id.partition(".")[0]
