"""SNS: messages about cases, for people and programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


class Notifier:
    """Publishes case messages; subject for people, body readable, attributes to filter on."""

    def __init__(self, client: SNSClient, *, topic_arn: str) -> None:
        self._sns = client
        self.topic_arn = topic_arn

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's topic."""
        return cls(session.sns, topic_arn=settings.topic_arn)

    def subscriptions(self) -> tuple[int, int]:
        """How many subscriptions of the topic are confirmed, and how many wait for it (GetTopicAttributes)."""
        with aws_errors(f"read the subscriptions of {self.topic_arn}"):
            found = self._sns.get_topic_attributes(TopicArn=self.topic_arn)["Attributes"]
        return int(found.get("SubscriptionsConfirmed", 0)), int(found.get("SubscriptionsPending", 0))

    def publish(self, *, case_id: str, event: str, subject: str, lines: list[str], facts: Mapping[str, object]) -> None:
        """Publish one message (SNS: subject at most 100 ASCII characters, no control characters)."""
        clean = "".join(c if " " <= c <= "~" else "?" for c in subject)[:100]
        body = "\n".join([*lines, "", json.dumps(facts, sort_keys=True)])
        with aws_errors(f"publish {event} of {case_id} to {self.topic_arn}"):
            self._sns.publish(
                TopicArn=self.topic_arn,
                Subject=clean,
                Message=body[:250_000],
                MessageAttributes={
                    "case_id": {"DataType": "String", "StringValue": case_id},
                    "event": {"DataType": "String", "StringValue": event},
                },
            )
