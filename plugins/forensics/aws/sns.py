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
