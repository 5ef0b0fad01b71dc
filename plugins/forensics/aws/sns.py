"""SNS: messages about cases, for people and programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self
from uuid import uuid4

from forensics.aws.channel_kinds import custom_notification
from forensics.aws.channels import Channels
from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.models.channels import ChannelMessage
from forensics.models.finding import Severity
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

    def __init__(
        self,
        client: SNSClient,
        *,
        topic_arn: str,
        ui_url: str = "",
        chat_topic_arn: str = "",
        channels: Channels | None = None,
    ) -> None:
        self._sns = client
        self.topic_arn = topic_arn
        self._ui = ui_url.rstrip("/")
        self._chat_topic_arn = chat_topic_arn
        self.channels = channels

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's topic, and its channels beside it."""
        made = cls(
            session.sns, topic_arn=settings.topic_arn, ui_url=settings.ui_url, chat_topic_arn=settings.chat_topic_arn
        )
        made.channels = Channels.of(session, settings, chat=made.chat if settings.chat_topic_arn else None)
        return made

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
        if self.channels:
            self.channels.send(self._channel_message(case_id, event, clean, told, facts))

    def _channel_message(
        self, case_id: str, event: str, subject: str, told: Sequence[str], facts: Mapping[str, object]
    ) -> ChannelMessage:
        """What channels get: the mail's words; links to the deployment's own UI are kept apart, all others are none."""
        severity = str(facts.get("severity", ""))
        links = [*own_links(told, self._ui)]
        if self._ui and case_id.startswith("fc-"):
            links.insert(0, ("Open the case (release, approve, export)", case_page(self._ui, case_id)))
        return ChannelMessage(
            id=uuid4().hex,
            at=datetime.now(UTC),
            event=event,
            case_id=case_id,
            severity=Severity(severity) if severity in tuple(Severity) else None,  # Python 3.11 refuses "str in Enum"
            drill=bool(facts.get("drill")),
            subject=subject,
            lines=tuple(without_links(line, but="") for line in told if not (self._ui and self._ui in line)),
            links=tuple(links),
            facts=json.loads(json.dumps(single_lines(dict(facts)))),
        )

    def chat(self, message: ChannelMessage) -> None:
        """Publish a message for Amazon Q Developer in chat applications. Raises :class:`AwsError`."""
        with aws_errors(f"publish {message.event} of {message.case_id} to {self._chat_topic_arn}"):
            self._sns.publish(TopicArn=self._chat_topic_arn, Message=custom_notification(message))


def case_page(ui: str, case_id: str) -> str:
    """Where people open a case inside Airflow (:mod:`forensics.case.addresses` has the pages' own addresses)."""
    return f"{ui}/forensics/case/{case_id}"


def own_links(lines: Iterable[str], ui: str) -> Iterator[tuple[str, str]]:
    """The addresses of the deployment's own UI in lines, each with the words before it."""
    if not ui:
        return
    for line in lines:
        words, found, rest = line.partition(ui)
        # a host whose name begins like the UI's is not the UI
        if found and (not rest or rest[0] in "/ "):
            yield words.strip(" :") or "Open", f"{ui}{rest.split(' ', 1)[0]}"
