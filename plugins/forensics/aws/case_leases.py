"""Conditional writes of the case store, and the leases that are made of them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from forensics import case_keys
from forensics.aws.case_items import NEW_ITEM, item_key
from forensics.aws.error_map import aws_errors
from forensics.errors import ConflictError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from forensics.aws.case_items import Attributes, WriteCondition


class CaseLeases:
    """Leases on parts of a case: one holder at a time, and none for ever."""

    def __init__(self, client: DynamoDBClient, *, table: str) -> None:
        self._db = client
        self.table = table

    def lease(self, case_id: str, name: str, *, holder: str, seconds: int, now: datetime | None = None) -> bool:
        """Take or renew a lease; False while another holder has it. It expires by itself when its holder was killed."""
        began = int((now or datetime.now(UTC)).timestamp())
        item: Attributes = {
            **item_key(case_id, f"{case_keys.LEASE}{name}"),
            "holder": {"S": holder},
            "until": {"N": str(began + seconds)},
        }
        condition: WriteCondition = {
            "ConditionExpression": f"{NEW_ITEM} OR holder = :h OR #u < :n",
            "ExpressionAttributeNames": {"#u": "until"},
            "ExpressionAttributeValues": {":h": {"S": holder}, ":n": {"N": str(began)}},
        }
        return self._put_if(item, condition, what=f"take lease {name} of case {case_id}")

    def release_lease(self, case_id: str, name: str, *, holder: str) -> None:
        """Release a lease, unless it ran out and is another's by now."""
        with suppress(ConflictError), aws_errors(f"release lease {name} of case {case_id} in table {self.table}"):
            self._db.delete_item(
                TableName=self.table,
                Key=item_key(case_id, f"{case_keys.LEASE}{name}"),
                ConditionExpression="holder = :h",
                ExpressionAttributeValues={":h": {"S": holder}},
            )

    def _put_if(self, item: Attributes, condition: WriteCondition, *, what: str) -> bool:
        try:
            with aws_errors(f"{what} in table {self.table}"):
                self._db.put_item(TableName=self.table, Item=item, **condition)
        except ConflictError:
            return False
        return True
