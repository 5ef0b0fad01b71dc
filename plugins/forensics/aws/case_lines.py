"""The lines of all cases in the case store: read by the index of the statuses, never by a scan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from forensics import case_keys
from forensics.aws.attributes import from_item, to_item
from forensics.aws.case_items import item_key
from forensics.aws.error_map import aws_errors
from forensics.errors import StoredItemError
from forensics.models.board import BoardLine, Entry
from forensics.models.case import Case, CaseStatus

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Raw = dict[str, AttributeValueTypeDef]


class CaseLines:
    """Writes the line of one case, reads those of all."""

    def __init__(self, client: DynamoDBClient, *, table: str) -> None:
        self._db = client
        self._table = table

    def put(self, case_id: str, line: BoardLine) -> None:
        """Write the line beside the case's head record; nothing else of that record changes."""
        with aws_errors(f"write the board's line of case {case_id} in table {self._table}"):
            self._db.update_item(
                TableName=self._table,
                Key=item_key(case_id, case_keys.CASE),
                UpdateExpression="SET board = :b",
                ConditionExpression="attribute_exists(PK)",
                ExpressionAttributeValues={":b": to_item(line.to_store())},
            )

    def read(self, known: dict[str, tuple[Raw, Entry]]) -> Iterator[Entry | StoredItemError]:
        """Every case with its line. ``known`` is what the last reading left: what has not changed is not parsed again.

        In place of a case whose record this release cannot read stands why: one such record hides no other case.
        """
        seen: dict[str, tuple[Raw, Entry]] = {}
        for raw in self._records():
            name = str(raw["GSI2SK"]["S"])
            before = known.get(name)
            try:
                entry = before[1] if before and before[0] == raw else _entry(raw)
            except StoredItemError as error:
                yield error
                continue
            seen[name] = (raw, entry)
            yield entry
        known.clear()
        known.update(seen)

    def _records(self) -> Iterator[Raw]:
        for status in CaseStatus:
            with aws_errors(f"list cases in table {self._table}"):
                pages = self._db.get_paginator("query").paginate(
                    TableName=self._table,
                    IndexName="GSI2",
                    KeyConditionExpression="GSI2PK = :p",
                    ExpressionAttributeValues={":p": {"S": f"STATUS#{status.value}"}},
                    ProjectionExpression="GSI2SK, #d, board",
                    ExpressionAttributeNames={"#d": "data"},
                )
                yield from (item for page in pages for item in page["Items"])


def _entry(raw: Raw) -> Entry:
    line = from_item(raw["board"]) if "board" in raw else None
    return Entry(Case.stored(from_item(raw["data"])), None if line is None else BoardLine.stored(line))
