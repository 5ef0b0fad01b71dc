"""Whether each message channel could be reached: its secret is there and valid, its host is allowed. Nothing is sent."""

from __future__ import annotations

from forensics.aws.sns import Notifier
from forensics.errors import ForensicsError
from forensics.models.channels import CHAT
from forensics.preflight.check import Check
from forensics.preflight.explain import next_action_for
from forensics.preflight.scope import PreflightScope


class ChannelCheck(Check):
    """One channel's secret is read as a message's sender reads it."""

    name = "channels"

    def __init__(self, scope: PreflightScope, channel: str) -> None:
        super().__init__(channel)
        self._scope = scope

    def attempt(self) -> str:
        """Read it, and look at what waits."""
        channels = Notifier.of(self._scope.own(), self._scope.settings).channels
        if channels is None:
            return "none"
        if self.subject != CHAT:
            channels.access(self.subject)
        waiting = sum(item.channel == self.subject for _, item in channels.waiting())
        return f"it can be asked; {waiting} messages wait for it" if waiting else "it can be asked"

    def repair(self, error: ForensicsError) -> str:
        """The error itself names the secret or the setting."""
        return next_action_for(error)
