"""Which webhooks have come, and by which message: each counts once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import ConflictError
from forensics.models.base import format_utc
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

# Longer than a message may lie in the queue and then in the dead-letter queue (14 days each); DynamoDB's time to live.
KEPT = timedelta(days=35)


@dataclass(frozen=True)
class Arrival:
    """The message that a webhook came by."""

    message_id: str
    received_at: datetime


class WebhookArrivals:
    """Conditional items ``ONCE#webhook/<fingerprint>`` of the case table."""

    def __init__(self, client: DynamoDBClient, *, table: str) -> None:
        self._db = client
        self._table = table

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's table."""
        return cls(session.dynamodb, table=settings.case_table)

    def claim(self, fingerprint: str, arrival: Arrival) -> Arrival | None:
        """Note that a webhook came by this message; returns by which it came before, or None when it is the first.

        The same message may claim it again: SQS delivers at least once.
        """
        if self._put(fingerprint, arrival, held_by=arrival.message_id, new=True):
            return None
        return self.find(fingerprint)

    def find(self, fingerprint: str) -> Arrival | None:
        """By which message a webhook came."""
        with aws_errors(f"read when a webhook came, in table {self._table}"):
            item = self._db.get_item(TableName=self._table, Key=_key(fingerprint), ConsistentRead=True).get("Item")
        if item is None:
            return None
        return Arrival(item["user"]["S"], datetime.fromisoformat(item["received_at"]["S"]).astimezone(UTC))

    def hand_over(self, fingerprint: str, before: Arrival, arrival: Arrival) -> bool:
        """The webhook counts for another message from now on; of two that ask for it one gets it."""
        return self._put(fingerprint, arrival, held_by=before.message_id, new=False)

    def _put(self, fingerprint: str, arrival: Arrival, *, held_by: str, new: bool) -> bool:
        expires = int((arrival.received_at + KEPT).timestamp())
        try:
            with aws_errors(f"note that a webhook came, in table {self._table}"):
                self._db.put_item(
                    TableName=self._table,
                    Item={
                        **_key(fingerprint),
                        "user": {"S": arrival.message_id},
                        "received_at": {"S": format_utc(arrival.received_at)},
                        "expires": {"N": str(expires)},
                    },
                    ConditionExpression="attribute_not_exists(PK) OR #u = :u" if new else "#u = :u",
                    ExpressionAttributeNames={"#u": "user"},
                    ExpressionAttributeValues={":u": {"S": held_by}},
                )
        except ConflictError:
            return False
        return True


def _key(fingerprint: str) -> dict[str, AttributeValueTypeDef]:
    return {"PK": {"S": f"ONCE#webhook/{fingerprint}"}, "SK": {"S": "ONCE"}}
