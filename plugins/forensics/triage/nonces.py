"""Things that may be used once: a signed request's nonce (R33)."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import ConflictError
from forensics.settings import Settings


class NonceStore:
    """Conditional items ``ONCE#<name>`` of the case table; DynamoDB's TTL may remove them after ``until``."""

    def __init__(self, client: Any, *, table: str) -> None:
        self._db = client
        self._table = table

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's table."""
        return cls(session.dynamodb, table=settings.case_table)

    def spend(self, name: str, *, by: str, until: datetime) -> bool:
        """Whether ``by`` is the first to use the name; the same user may ask again (a repeated try)."""
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
