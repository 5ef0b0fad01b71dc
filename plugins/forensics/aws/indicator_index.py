"""Which cases have an indicator: items of the case table, one for each indicator and case.

``PK = INDICATOR#<kind>#<value>``, ``SK = <case id>``; a value that is longer than a key should be stands as its SHA-256.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from forensics.aws.error_map import aws_errors
from forensics.models.indicators import Indicator

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_LONGEST = 200


def indicator_pk(indicator: Indicator) -> str:
    """Partition key of an indicator."""
    value = indicator.value
    if len(value) > _LONGEST:
        value = f"sha256:{hashlib.sha256(value.encode('utf-8', 'backslashreplace')).hexdigest()}"
    return f"INDICATOR#{indicator.kind.value}#{value}"


class IndicatorIndex:
    """Adds and looks up; an indicator that is there already stays."""

    def __init__(self, client: DynamoDBClient, *, table: str) -> None:
        self._db = client
        self._table = table

    def add(self, case_id: str, indicator: Indicator) -> None:
        """State that a case has an indicator."""
        with aws_errors(f"index an indicator of case {case_id} in table {self._table}"):
            self._db.put_item(
                TableName=self._table,
                Item={"PK": {"S": indicator_pk(indicator)}, "SK": {"S": case_id}, "where": {"S": indicator.where}},
            )

    def cases(self, indicator: Indicator, *, limit: int) -> list[str]:
        """Ids of cases that have it, ``limit`` at most."""
        with aws_errors(f"look up an indicator in table {self._table}"):
            found = self._db.query(
                TableName=self._table,
                KeyConditionExpression="PK = :p",
                ExpressionAttributeValues={":p": {"S": indicator_pk(indicator)}},
                ProjectionExpression="SK",
                ConsistentRead=True,
                Limit=limit,
            )
        return [item["SK"]["S"] for item in found["Items"]]
