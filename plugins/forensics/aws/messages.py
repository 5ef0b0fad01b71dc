"""SNS and SQS: what people are told, and the findings' queue."""

from __future__ import annotations

import json
from typing import Any

from forensics.aws.error_map import aws_errors


class Notifier:
    """Publishes case messages; subject for people, body readable, attributes to filter on."""

    def __init__(self, client: Any, *, topic_arn: str) -> None:
        self._sns = client
        self.topic_arn = topic_arn

    def publish(self, *, case_id: str, event: str, subject: str, lines: list[str], facts: dict[str, Any]) -> None:
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


class FindingQueue:
    """The queue that findings arrive on, and its dead-letter queue."""

    def __init__(self, client: Any, *, url: str, dead_letter_url: str) -> None:
        self._sqs = client
        self.url = url
        self.dead_letter_url = dead_letter_url

    def depth(self) -> int:
        """Approximate number of visible messages."""
        with aws_errors(f"read depth of {self.url}"):
            answer = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def receive(self, *, visibility: int) -> list[dict[str, Any]]:
        """Take up to ten messages; they stay in the queue, hidden for ``visibility`` seconds."""
        with aws_errors(f"receive from {self.url}"):
            answer = self._sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=0,
                VisibilityTimeout=visibility,
                MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )
        return list(answer.get("Messages", []))

    def delete(self, receipt: str) -> None:
        """Delete a message whose work is done."""
        with aws_errors(f"delete a message of {self.url}"):
            self._sqs.delete_message(QueueUrl=self.url, ReceiptHandle=receipt)

    def quarantine(self, body: str, *, reason: str) -> None:
        """Put a message that cannot be worked into the dead-letter queue, with the reason."""
        # SQS refuses control characters, and the reason may quote the message.
        clean = "".join(c if c.isprintable() else "?" for c in reason)[:500] or "unknown"
        with aws_errors(f"send a message to {self.dead_letter_url}"):
            self._sqs.send_message(
                QueueUrl=self.dead_letter_url,
                MessageBody=body,
                MessageAttributes={"reason": {"DataType": "String", "StringValue": clean}},
            )
