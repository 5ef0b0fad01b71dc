"""Whether the messages of each sender of webhooks could be checked: its secret is there and valid."""

from __future__ import annotations

from forensics.errors import ForensicsError
from forensics.intake.webhook_senders import WebhookSenders
from forensics.preflight.check import Check
from forensics.preflight.explain import next_action_for
from forensics.preflight.scope import PreflightScope


class WebhookCheck(Check):
    """One sender's secret is read as the intake reads it."""

    name = "webhooks"

    def __init__(self, scope: PreflightScope, sender: str) -> None:
        super().__init__(sender)
        self._scope = scope

    def attempt(self) -> str:
        """Read it."""
        access = WebhookSenders.of(self._scope.own(), self._scope.settings).check(self.subject)
        accounts = "all accounts" if "*" in access.accounts else f"{len(access.accounts)} accounts"
        return f"keys {', '.join(sorted(access.keys))}; may speak of {accounts}"

    def repair(self, error: ForensicsError) -> str:
        """The error itself names the secret."""
        return next_action_for(error)
