"""SNS: subscriptions reach queues of other accounts, and the lab keeps what was published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.sns.models import Subscription, Topic
from moto.utilities.arns import parse_arn

from lab.emulator.patches import state
from lab.emulator.patches.patching import replace


def _deliver(original: Callable[..., None]) -> Callable[..., None]:
    def publish(self: Any, message: str, message_id: str, **kwargs: Any) -> None:
        if self.protocol != "sqs":
            original(self, message, message_id, **kwargs)
            return
        # stock moto looks for the queue in the account of the subscription
        own, self.account_id = self.account_id, parse_arn(self.endpoint).account
        try:
            original(self, message, message_id, **kwargs)
        finally:
            self.account_id = own

    return publish


def _publish(original: Callable[..., str]) -> Callable[..., str]:
    def publish(self: Any, message: str, subject: str | None = None, **kwargs: Any) -> str:
        message_id = original(self, message, subject=subject, **kwargs)
        attributes = kwargs.get("message_attributes") or {}
        state.current().post(
            {
                "message_id": message_id,
                "topic_arn": self.arn,
                "subject": subject,
                "message": message,
                "attributes": {name: value.get("Value") for name, value in attributes.items()},
            }
        )
        return message_id

    return publish


def apply() -> None:
    """Install the patch."""
    replace(Subscription, "publish", _deliver)
    replace(Topic, "publish", _publish)
