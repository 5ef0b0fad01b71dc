"""The intake's log: events that opened no case, and the day's counts; kept for a while, for people to see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from forensics.aws.attributes import from_item, to_item
from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.models.base import format_utc
from forensics.models.intake import IntakeCounts, IntakeRecord, MessageOutcome
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

# Days that an entry is kept (DynamoDB's time to live on the attribute ``expires``), by what became of the event.
KEPT_DAYS = {
    MessageOutcome.IGNORED: 14,
    MessageOutcome.FAILED: 30,
    MessageOutcome.QUARANTINED: 90,
    MessageOutcome.DEAD: 90,
}
COUNTS_KEPT_DAYS = 400


class IntakeLog:
    """Items ``PK = INTAKE#<day>, SK = EVENT#<utc>#<message id>`` and ``PK = INTAKE#COUNTS, SK = <day>``."""

    def __init__(self, client: DynamoDBClient, *, table: str) -> None:
        self._db = client
        self.table = table

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's table."""
        return cls(session.dynamodb, table=settings.case_table)

    def write(self, record: IntakeRecord) -> None:
        """Record one event; a later outcome of the same message replaces the earlier one."""
        expires = record.received_at + timedelta(days=KEPT_DAYS[record.verdict])
        item = {
            **_key(record.message_id, record.received_at),
            "expires": {"N": str(int(expires.timestamp()))},
            "data": to_item(record.model_dump(mode="json")),
        }
        with aws_errors(f"record message {record.message_id} in table {self.table}"):
            self._db.put_item(TableName=self.table, Item=item)

    def read(self, message_id: str, received_at: datetime) -> IntakeRecord | None:
        """What is recorded of a message."""
        with aws_errors(f"read the record of message {message_id} in table {self.table}"):
            item = self._db.get_item(TableName=self.table, Key=_key(message_id, received_at), ConsistentRead=True).get(
                "Item"
            )
        return IntakeRecord.model_validate(from_item(item["data"])) if item else None

    def count(self, numbers: Mapping[str, int], *, at: datetime) -> None:
        """Add to the day's counts. A worker killed before this leaves them too low; the records are exact."""
        added = {name: number for name, number in numbers.items() if number}
        if not added:
            return
        expires = int((at + timedelta(days=COUNTS_KEPT_DAYS)).timestamp())
        with aws_errors(f"add to the intake's counts in table {self.table}"):
            self._db.update_item(
                TableName=self.table,
                Key={"PK": {"S": "INTAKE#COUNTS"}, "SK": {"S": at.astimezone(UTC).strftime("%Y-%m-%d")}},
                UpdateExpression="ADD " + ", ".join(f"#{name} :{name}" for name in added) + " SET expires = :expires",
                ExpressionAttributeNames={f"#{name}": name for name in added},
                ExpressionAttributeValues={
                    ":expires": {"N": str(expires)},
                    **{f":{name}": {"N": str(number)} for name, number in added.items()},
                },
            )

    def counts(self, *, days: int = 7) -> list[IntakeCounts]:
        """Counts of the last days that had any, newest first."""
        with aws_errors(f"read the intake's counts in table {self.table}"):
            page = self._db.query(
                TableName=self.table,
                KeyConditionExpression="PK = :p",
                ExpressionAttributeValues={":p": {"S": "INTAKE#COUNTS"}},
                ScanIndexForward=False,
                Limit=days,
            )
        skipped = {"PK", "SK", "expires"}
        return [
            IntakeCounts(day=i["SK"]["S"], numbers={k: int(v["N"]) for k, v in i.items() if k not in skipped})
            for i in page["Items"]
        ]

    def records(self, *, today: datetime, days: int = 14, limit: int = 200) -> Iterator[IntakeRecord]:
        """Newest records first, of the last days."""
        left = limit
        for back in range(days):
            day = (today.astimezone(UTC) - timedelta(days=back)).strftime("%Y-%m-%d")
            with aws_errors(f"read the intake's records of {day} in table {self.table}"):
                page = self._db.query(
                    TableName=self.table,
                    KeyConditionExpression="PK = :p",
                    ExpressionAttributeValues={":p": {"S": f"INTAKE#{day}"}},
                    ScanIndexForward=False,
                    Limit=left,
                )
            for item in page["Items"]:
                yield IntakeRecord.model_validate(from_item(item["data"]))
            left -= len(page["Items"])
            if left <= 0:
                return


def _key(message_id: str, received_at: datetime) -> dict[str, AttributeValueTypeDef]:
    stamp = format_utc(received_at)
    return {"PK": {"S": f"INTAKE#{stamp[:10]}"}, "SK": {"S": f"EVENT#{stamp}#{message_id}"}}
