"""Sends messages to the channels beside the mail topic: at once, and again later what a channel did not take.

A channel that fails stops nothing: the message waits in the case store, is tried again by the pulse, and people are told by mail that the channel does not
take messages, at most once a day. After a day a message is given up; it was sent by mail when it was new.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Self
from urllib.parse import urlsplit

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.channel_kinds import notify_apprise, post_webhook
from forensics.aws.channel_secrets import SecretsGateway, read_secret
from forensics.aws.session import AwsSession
from forensics.errors import ChannelError, ForensicsError
from forensics.models.base import format_utc
from forensics.models.channels import CHAT, ChannelAccess, ChannelMessage, ChannelTrouble, Undelivered
from forensics.naming import NOTICES
from forensics.settings import Settings, names, pairs

log = logging.getLogger(__name__)
GIVEN_UP_AFTER = timedelta(days=1)
TOLD_AGAIN_AFTER = timedelta(days=1)
SECRET_SECONDS = 300.0
MOST_AT_ONCE = 200  # of what waits, in one run of the pulse
_known: dict[str, tuple[float, ChannelAccess]] = {}


class Channels:
    """The deployment's channels.

    :param secrets: name of each channel → name of its secret
    :param hosts: hosts that webhooks may go to
    :param chat: gives a message to the chat's topic; None where there is none
    """

    def __init__(
        self,
        store: CaseStore,
        vault: SecretsGateway,
        *,
        secrets: dict[str, str],
        hosts: tuple[str, ...] = (),
        chat: Callable[[ChannelMessage], None] | None = None,
    ) -> None:
        self._store, self._vault, self._secrets, self._hosts, self._chat = store, vault, secrets, hosts, chat

    @classmethod
    def of(
        cls, session: AwsSession, settings: Settings, *, chat: Callable[[ChannelMessage], None] | None
    ) -> Self | None:
        """The channels that the settings name; None where there is none."""
        secrets = pairs(settings.channels)
        if not secrets and chat is None:
            return None
        store, vault = CaseStore.of(session, settings), SecretsGateway.of(session)
        return cls(store, vault, secrets=secrets, hosts=names(settings.channel_hosts), chat=chat)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all channels."""
        return (*((CHAT,) if self._chat else ()), *self._secrets)

    def send(self, message: ChannelMessage) -> None:
        """Give a message to every channel that takes it; what is not taken waits. Never raises."""
        for name in self.names:
            try:
                self.deliver(name, message)
            except Exception as error:
                # The edge to libraries and services of others: a message that a channel does not take stops no case.
                self._wait(name, message, error)

    def deliver(self, name: str, message: ChannelMessage) -> None:
        """Give a message to one channel. Raises :class:`ForensicsError` when it did not take it."""
        if name == CHAT and self._chat:
            self._chat(message)
            return
        access = self.access(name)
        if not access.takes(message):
            return
        if access.webhook:
            post_webhook(message, url=access.webhook, key=access.hmac_key)
        else:
            notify_apprise(message, url=access.apprise)

    def access(self, name: str) -> ChannelAccess:
        """How a channel is reached. Raises :class:`ForensicsError`, without a word of the secret."""
        secret = self._secrets[name]
        asked, access = _known.get(secret, (0.0, None))
        if access is None or time.monotonic() - asked > SECRET_SECONDS:
            access = self._read(name, secret)
            _known[secret] = (time.monotonic(), access)
        return access

    def _read(self, name: str, secret: str) -> ChannelAccess:
        access = read_secret(
            self._vault, secret, ChannelAccess, of=f"channel {name}", page="docs/channels.md", error=ChannelError
        )
        host = urlsplit(access.webhook).hostname or ""
        if access.webhook and host not in self._hosts:
            action = f"add {host} to forensics.channel_hosts, if messages about cases may go there"
            raise ChannelError(f"channel {name} goes to {host}, which is no host of channels", next_action=action)
        return access

    # ------------------------------------------------------------------ what waits
    def _wait(self, name: str, message: ChannelMessage, error: Exception) -> None:
        why = _said(error)
        log.warning(
            "channel %s did not take %s of %s, it is tried again: %s", name, message.event, message.case_id, why
        )
        try:
            self._store.put(NOTICES, _key(name, message), Undelivered(channel=name, message=message, why=why))
        except ForensicsError as second:
            log.error("the message to channel %s is lost, it was sent by mail: %s", name, second)

    def waiting(self) -> Iterator[tuple[str, Undelivered]]:
        """What channels have not taken yet, oldest first."""
        for key, data in self._store.items(NOTICES, case_keys.UNDELIVERED):
            yield key, Undelivered.stored(data)

    def retry(self, now: datetime) -> list[str]:
        """Try again what waits, each channel until its first failure; returns a line for each channel that people have to be told of."""
        troubled: dict[str, str] = {}
        for number, (key, item) in enumerate(self.waiting()):
            if number >= MOST_AT_ONCE:
                break
            if item.channel not in self.names or now - item.message.at > GIVEN_UP_AFTER:
                self._store.remove(NOTICES, key)
                log.warning(
                    "a message to channel %s is given up after %s tries: %s", item.channel, item.tries, item.why
                )
                continue
            if item.channel in troubled:
                continue
            try:
                self.deliver(item.channel, item.message)
            except Exception as error:  # as in send
                troubled[item.channel] = f"{_said(error)}. What to do next: {_action(error)}"
                self._store.put(NOTICES, key, item.model_copy(update={"tries": item.tries + 1, "why": _said(error)}))
                continue
            self._store.remove(NOTICES, key)
        return [f"Channel {name}: {why}" for name, why in troubled.items() if self._tell(name, now)]

    def _tell(self, name: str, now: datetime) -> bool:
        key = f"{case_keys.CHANNEL_TROUBLE}{name}"
        known = self._store.get(NOTICES, key, ChannelTrouble)
        if known and now - known.at < TOLD_AGAIN_AFTER:
            return False
        self._store.put(NOTICES, key, ChannelTrouble(at=now))
        return True


def _key(name: str, message: ChannelMessage) -> str:
    return f"{case_keys.UNDELIVERED}{format_utc(message.at)}#{message.id}#{name}"


def _said(error: Exception) -> str:
    """What went wrong; of an error that is not the product's own only its kind, for it may have the secret in it."""
    return (error.message if isinstance(error, ForensicsError) else type(error).__name__)[:500]


def _action(error: Exception) -> str:
    return error.next_action if isinstance(error, ForensicsError) else "look at the task's log"


def forget() -> None:
    """Read every secret again when it is needed next."""
    _known.clear()
