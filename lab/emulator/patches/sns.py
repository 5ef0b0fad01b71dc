"""SNS: subscriptions reach queues of other accounts, and the lab keeps what was published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.sns.models import Subscription, Topic
from moto.sns.responses import SNSResponse
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


def _topic_attributes(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def get_topic_attributes(self: Any) -> Any:
        arn = self._get_param("TopicArn")
        topic = self.backend.topics.get(arn)
        if topic is not None:
            # stock moto counts none; every subscription of the lab is confirmed at once
            topic.subscriptions_confimed = sum(s.topic.arn == arn for s in self.backend.subscriptions.values())
        return original(self)

    return get_topic_attributes


def apply() -> None:
    """Install the patch."""
    replace(Subscription, "publish", _deliver)
    replace(Topic, "publish", _publish)
    replace(SNSResponse, "get_topic_attributes", _topic_attributes)
