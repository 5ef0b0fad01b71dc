"""SNS: messages about cases, for people and programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.printable import single_line, single_lines, without_links
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient


# "Messages must be UTF-8 encoded strings and at most 256 KB in size" (Amazon SNS API reference, Publish, Message).
MESSAGE_BYTES = 250_000


class Notifier:
    """Publishes case messages; subject for people, body readable, attributes to filter on.

    ``ui_url``: addresses below it are the only ones that stay links: a mail holds what hosts, findings and persons wrote.
    """

    def __init__(self, client: SNSClient, *, topic_arn: str, ui_url: str = "") -> None:
        self._sns = client
        self.topic_arn = topic_arn
        self._ui = ui_url.rstrip("/")

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's topic."""
        return cls(session.sns, topic_arn=settings.topic_arn, ui_url=settings.ui_url)

    def subscriptions(self) -> tuple[int, int]:
        """How many subscriptions of the topic are confirmed, and how many wait for it (GetTopicAttributes)."""
        with aws_errors(f"read the subscriptions of {self.topic_arn}"):
            found = self._sns.get_topic_attributes(TopicArn=self.topic_arn)["Attributes"]
        return int(found.get("SubscriptionsConfirmed", 0)), int(found.get("SubscriptionsPending", 0))

    def publish(self, *, case_id: str, event: str, subject: str, lines: list[str], facts: Mapping[str, object]) -> None:
        """Publish one message (SNS: subject at most 100 ASCII characters, no control characters).

        Each line is one line, whatever is in it, with every hidden character shown.
        """
        clean = "".join(c if " " <= c <= "~" else "?" for c in subject)[:100]
        told = [single_line(line) for line in lines]
        body = without_links(
            "\n".join([*told, "", json.dumps(single_lines(dict(facts)), sort_keys=True)]), but=self._ui
        )
        with aws_errors(f"publish {event} of {case_id} to {self.topic_arn}"):
            self._sns.publish(
                TopicArn=self.topic_arn,
                Subject=clean,
                Message=body.encode()[:MESSAGE_BYTES].decode("utf-8", "ignore"),
                MessageAttributes={
                    "case_id": {"DataType": "String", "StringValue": case_id},
                    "event": {"DataType": "String", "StringValue": event},
                },
            )
