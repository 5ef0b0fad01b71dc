"""The systems that cases are pushed to, by the settings, and how each is reached, by its secret."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from forensics.aws.channel_secrets import SecretsGateway, read_secret
from forensics.aws.session import AwsSession
from forensics.errors import PushError
from forensics.models.push import PushAccess
from forensics.settings import Settings, names, pairs


class PushTargets:
    """Name of each system → its secret; what a secret says is in no message and in no log."""

    def __init__(self, vault: SecretsGateway, *, secrets: dict[str, str], hosts: tuple[str, ...]) -> None:
        self._vault, self._secrets, self._hosts = vault, secrets, hosts

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The systems that the settings name."""
        vault = SecretsGateway.of(session)
        return cls(vault, secrets=pairs(settings.pushes), hosts=names(settings.channel_hosts))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all systems."""
        return tuple(self._secrets)

    def access(self, name: str) -> PushAccess:
        """How a system is reached. Raises :class:`ForensicsError`, without a word of the secret."""
        found = read_secret(
            self._vault, self._secrets[name], PushAccess, of=f"push {name}", page="docs/push.md", error=PushError
        )
        host = urlsplit(found.server).hostname or ""
        if host not in self._hosts:
            action = f"add {host} to forensics.channel_hosts, if cases may go there"
            raise PushError(f"push {name} goes to {host}, which is no host that anything goes to", next_action=action)
        return found
