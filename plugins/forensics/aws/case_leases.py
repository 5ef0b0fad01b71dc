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

    def lease(
        self,
        case_id: str,
        name: str,
        *,
        holder: str,
        seconds: int,
        now: datetime | None = None,
        instead_of: str | None = None,
    ) -> bool:
        """Take or renew a lease; False while another holder has it. It expires by itself when its holder was killed.

        ``instead_of``: a holder from whom it is taken although it has not expired, for where clocks disagree; of several takers one gets it.
        """
        began = int((now or datetime.now(UTC)).timestamp())
        item: Attributes = {
            **item_key(case_id, f"{case_keys.LEASE}{name}"),
            "holder": {"S": holder},
            "until": {"N": str(began + seconds)},
        }
        condition: WriteCondition = {
            "ConditionExpression": f"{NEW_ITEM} OR holder IN (:h, :i) OR #u < :n",
            "ExpressionAttributeNames": {"#u": "until"},
            "ExpressionAttributeValues": {
                ":h": {"S": holder},
                ":i": {"S": instead_of or holder},
                ":n": {"N": str(began)},
            },
        }
        return self._put_if(item, condition, what=f"take lease {name} of case {case_id}")

    def lease_holder(self, case_id: str, name: str) -> str | None:
        """Who has a lease, expired or not; None when nobody has."""
        key = item_key(case_id, f"{case_keys.LEASE}{name}")
        with aws_errors(f"read lease {name} of case {case_id} in table {self.table}"):
            item = self._db.get_item(TableName=self.table, Key=key, ConsistentRead=True).get("Item")
        return item["holder"]["S"] if item else None

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
