"""The lock by which an instance has at most one open case: taken and freed together with the status of its case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forensics.aws.case_items import instance_lock_key, item_key, lock_key
from forensics.aws.error_map import aws_errors
from forensics.case_keys import CASE
from forensics.models.case import ENDED, Case

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from forensics.aws.case_items import Attributes


class CaseLocks:
    """Reads the locks, and makes the parts of transactions that change one."""

    def __init__(self, client: DynamoDBClient, *, table: str) -> None:
        self._db = client
        self._table = table

    def holder(self, case: Case) -> str | None:
        """The id of the case that holds the instance; it may have ended, because earlier releases wrote that in two steps."""
        return self.holder_of(case.account_id, case.region, case.instance_id)

    def holder_of(self, account_id: str, region: str, subject: str) -> str | None:
        """The same of an instance or an artifact that is named."""
        key = instance_lock_key(account_id, region, subject)
        with aws_errors(f"read the open-case lock of {subject} in table {self._table}"):
            lock = self._db.get_item(TableName=self._table, Key=key, ConsistentRead=True).get("Item")
        return str(lock["case_id"]["S"]) if lock else None

    def taken(self, case: Case) -> TransactWriteItemTypeDef:
        """The case takes the lock, or has it already; fails while another case has it."""
        own: Attributes = {"case_id": {"S": case.case_id}}
        return {
            "Put": {
                "TableName": self._table,
                "Item": {**lock_key(case), **own},
                "ConditionExpression": "attribute_not_exists(PK) OR case_id = :c",
                "ExpressionAttributeValues": {":c": {"S": case.case_id}},
            }
        }

    def freed(self, case: Case, *, holder: str) -> TransactWriteItemTypeDef:
        """The holder's lock on the case's instance is deleted; fails when it has gone to another case meanwhile."""
        return {
            "Delete": {
                "TableName": self._table,
                "Key": lock_key(case),
                "ConditionExpression": "case_id = :c",
                "ExpressionAttributeValues": {":c": {"S": holder}},
            }
        }

    def ended(self, case_id: str) -> TransactWriteItemTypeDef:
        """A check that a case has ended and was not opened again meanwhile."""
        values: Attributes = {f":s{n}": {"S": status.value} for n, status in enumerate(ENDED)}
        return {
            "ConditionCheck": {
                "TableName": self._table,
                "Key": item_key(case_id, CASE),
                "ConditionExpression": f"#d.#s IN ({', '.join(values)})",
                "ExpressionAttributeNames": {"#d": "data", "#s": "status"},
                "ExpressionAttributeValues": values,
            }
        }
