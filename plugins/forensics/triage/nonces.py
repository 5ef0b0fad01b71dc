"""Nonces: a signed request counts once."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import ConflictError
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class NonceStore:
    """Conditional items ``ONCE#<name>`` of the case table; DynamoDB's TTL may remove them after ``until``."""

    def __init__(self, client: DynamoDBClient, *, table: str) -> None:
        self._db = client
        self._table = table

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's table."""
        return cls(session.dynamodb, table=settings.case_table)

    def consume(self, name: str, *, by: str, until: datetime) -> bool:
        """Consume a name; returns whether ``by`` is the first to use it. The same user may repeat it (another try)."""
        try:
            with aws_errors(f"record {name} in table {self._table}"):
                self._db.put_item(
                    TableName=self._table,
                    Item={
                        "PK": {"S": f"ONCE#{name}"},
                        "SK": {"S": "ONCE"},
                        "user": {"S": by},
                        "expires": {"N": str(int(until.timestamp()))},
                    },
                    ConditionExpression="attribute_not_exists(PK) OR #u = :u",
                    ExpressionAttributeNames={"#u": "user"},
                    ExpressionAttributeValues={":u": {"S": by}},
                )
        except ConflictError:
            return False
        return True
