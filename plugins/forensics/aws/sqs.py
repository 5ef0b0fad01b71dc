"""SQS: the queue that findings arrive on, and its dead-letter queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import AwsError
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        DeleteMessageBatchRequestEntryTypeDef,
        MessageTypeDef,
        ReceiveMessageRequestTypeDef,
    )

# SQS: at most ten entries in a batch call.
BATCH = 10


class FindingQueue:
    """The queues that findings arrive on, the urgent one first where there is one, and their dead-letter queue."""

    def __init__(self, client: SQSClient, *, url: str, dead_letter_url: str, urgent_url: str = "") -> None:
        self._sqs = client
        self.url = url
        self.urgent_url = urgent_url
        self.dead_letter_url = dead_letter_url
        self._urgent: set[str] = set()  # receipts of messages that are in flight and came by the urgent queue

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's queue of findings."""
        return cls(
            session.sqs,
            url=settings.queue_url,
            dead_letter_url=settings.dead_letter_queue_url,
            urgent_url=settings.urgent_queue_url,
        )

    @property
    def _urls(self) -> tuple[str, ...]:
        """The queues that findings arrive in, the urgent one first."""
        return (self.urgent_url, self.url) if self.urgent_url else (self.url,)

    def depth(self) -> int:
        """Approximate number of visible messages. SQS may be late with it (up to a minute, says its reference)."""
        found = 0
        for url in self._urls:
            with aws_errors(f"read depth of {url}"):
                answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
            found += int(answer["Attributes"]["ApproximateNumberOfMessages"])
        return found

    def dead_letters(self) -> int:
        """Approximate number of messages in the dead-letter queue, hidden ones included."""
        names: list[QueueAttributeNameType] = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        with aws_errors(f"read depth of {self.dead_letter_url}"):
            answer = self._sqs.get_queue_attributes(QueueUrl=self.dead_letter_url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def peek(self) -> int:
        """Whether a message is there, without hiding it; each message seen counts one more delivery."""
        return next((1 for url in self._urls if self._receive(url, visibility=0, number=1)), 0)

    def receive(self, *, visibility: int, urgent_only: bool = False) -> list[MessageTypeDef]:
        """Take up to ten messages, urgent ones if there are any; they stay in their queue, hidden for ``visibility`` seconds."""
        if self.urgent_url:
            urgent = self._receive(self.urgent_url, visibility=visibility, number=BATCH)
            if urgent:
                self._urgent.update(message["ReceiptHandle"] for message in urgent)
                return urgent
        return [] if urgent_only else self._receive(self.url, visibility=visibility, number=BATCH)

    def _by_queue(self, receipts: Sequence[str]) -> list[tuple[str, list[str]]]:
        """The receipts in batches, each of one queue."""
        urgent = [receipt for receipt in receipts if receipt in self._urgent]
        others = [receipt for receipt in receipts if receipt not in self._urgent]
        return [
            (url, found[start : start + BATCH])
            for url, found in ((self.urgent_url, urgent), (self.url, others))
            for start in range(0, len(found), BATCH)
        ]

    def receive_dead(self, *, visibility: int) -> list[MessageTypeDef]:
        """Take up to ten messages of the dead-letter queue, with their attributes."""
        return self._receive(self.dead_letter_url, visibility=visibility, number=BATCH, attributes=["All"])

    def _receive(
        self, url: str, *, visibility: int, number: int, attributes: Sequence[str] | None = None
    ) -> list[MessageTypeDef]:
        request: ReceiveMessageRequestTypeDef = {
            "QueueUrl": url,
            "MaxNumberOfMessages": number,
            "WaitTimeSeconds": 0,
            "VisibilityTimeout": visibility,
            "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
        }
        if attributes:
            request["MessageAttributeNames"] = attributes
        with aws_errors(f"receive from {url}"):
            answer = self._sqs.receive_message(**request)
        return list(answer.get("Messages", []))

    def hide(self, receipts: Sequence[str], *, seconds: int) -> list[str]:
        """Hide messages for ``seconds`` from now; returns the reasons of those that SQS refused (they may be back)."""
        refused = []
        for url, batch in self._by_queue(receipts):
            entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
                {"Id": str(n), "ReceiptHandle": r, "VisibilityTimeout": seconds} for n, r in enumerate(batch)
            ]
            with aws_errors(f"hide messages of {url}"):
                answer = self._sqs.change_message_visibility_batch(QueueUrl=url, Entries=entries)
            refused += [f"{f['Code']}: {f.get('Message', '')}" for f in answer.get("Failed", [])]
        return refused

    def delete(self, receipts: Sequence[str]) -> None:
        """Delete messages whose work is done."""
        for url, batch in self._by_queue(receipts):
            self._delete_batch(url, batch)
            self._urgent.difference_update(batch)

    def _delete_batch(self, url: str, receipts: Sequence[str]) -> None:
        entries: list[DeleteMessageBatchRequestEntryTypeDef] = [
            {"Id": str(n), "ReceiptHandle": r} for n, r in enumerate(receipts)
        ]
        with aws_errors(f"delete messages of {url}"):
            answer = self._sqs.delete_message_batch(QueueUrl=url, Entries=entries)
        failed = answer.get("Failed", [])
        if failed:
            reasons = "; ".join(sorted({f"{f['Code']}: {f.get('Message', '')}" for f in failed}))
            # Delivered again they find their case and their run, and are deleted then.
            msg = f"delete messages of {url}: SQS refused {len(failed)} of {len(receipts)}: {reasons}"
            raise AwsError(msg, next_action="nothing: they are delivered again and find their cases")

    def quarantine(self, body: str, *, reason: str, verdict: str = "quarantine") -> None:
        """Move a message that cannot be processed into the dead-letter queue, with the reason."""
        # SQS refuses control characters, and the reason may quote the message.
        clean = "".join(c if c.isprintable() else "?" for c in reason)[:500] or "unknown"
        attributes = {"reason": clean, "verdict": verdict}
        with aws_errors(f"send a message to {self.dead_letter_url}"):
            self._sqs.send_message(
                QueueUrl=self.dead_letter_url,
                MessageBody=body,
                MessageAttributes={k: {"DataType": "String", "StringValue": v} for k, v in attributes.items()},
            )

    def put_in(self, body: str) -> None:
        """Put one event in, as EventBridge does."""
        with aws_errors(f"send a finding to {self.url}"):
            self._sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def redrive(self, message: MessageTypeDef) -> None:
        """Move one message of the dead-letter queue back: sent first, deleted then, so that none is ever lost."""
        with aws_errors(f"send a dead letter back to {self.url}"):
            self._sqs.send_message(QueueUrl=self.url, MessageBody=message["Body"])
        self._delete_batch(self.dead_letter_url, [message["ReceiptHandle"]])
