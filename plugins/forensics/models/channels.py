"""Messages on their way to channels beside the mail topic: a chat, a pager, a ticket system, a program of yours."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, JsonValue, model_validator

from forensics.models.base import Model, Utc
from forensics.models.finding import Severity
from forensics.models.outside import Outside

CHAT = "chat"
NAME_FORM = re.compile(r"[a-z][a-z0-9-]{0,30}")


class ChannelAccess(Model):
    """How a channel is reached, as its secret says it: one of an Apprise URL and a webhook.

    ``hmac_key`` signs a webhook's bodies; ``severity_from`` and ``events`` choose the messages, all where they are empty.
    """

    apprise: str = Field(default="", max_length=2000, description="URL of Apprise, which has tokens in it")
    webhook: str = Field(default="", max_length=2000, pattern=r"^(https://[^\s@]+|http://127\.0\.0\.1:\d+[^\s@]*)?$")
    hmac_key: str = Field(default="", max_length=500, description="at least 32 characters")
    severity_from: Severity | None = None
    events: tuple[str, ...] = Field(default=(), description="names of events; a name with a colon begins with one")
    drills: bool = Field(default=True, description="whether messages of drills go there, too")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.apprise) is bool(self.webhook):
            msg = "give either apprise or webhook"
            raise ValueError(msg)
        if self.webhook and len(self.hmac_key) < 32:
            msg = "a webhook needs hmac_key, of at least 32 characters"
            raise ValueError(msg)
        return self

    def takes(self, message: ChannelMessage) -> bool:
        """Whether a message goes there. One without a severity is about the product itself: it passes."""
        if message.drill and not self.drills:
            return False
        if self.events and message.event.partition(":")[0] not in self.events:
            return False
        return (
            self.severity_from is None or message.severity is None or message.severity.rank >= self.severity_from.rank
        )


class ChannelMessage(Outside):
    """One message, as every channel gets it; ``id`` is the same in every try. ``links`` are of the deployment's own UI."""

    id: str = Field(max_length=64)
    at: Utc
    event: str = Field(max_length=300)
    case_id: str = Field(max_length=64)
    severity: Severity | None = None
    drill: bool = False
    subject: str = Field(max_length=100)
    lines: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = Field(default=(), description="words and address")
    facts: JsonValue = None


class Undelivered(Model):
    """A message that a channel has not taken yet."""

    channel: str
    message: ChannelMessage
    tries: int = 1
    why: str = Field(default="", max_length=500)


class ChannelTrouble(Model):
    """When people were last told that a channel does not take messages."""

    at: Utc
