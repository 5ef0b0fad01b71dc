"""The intake's log: events that opened no case, and the day's counts; kept for a while, for people to see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from forensics.aws.attributes import from_item, to_item
from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import ConflictError
from forensics.models.base import format_utc
from forensics.models.intake import IntakeCounts, IntakeRecord, MessageOutcome
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef

# Days that an entry is kept (DynamoDB's time to live on the attribute ``expires``), by what became of the event.
KEPT_DAYS = {
    MessageOutcome.IGNORED: 14,
    MessageOutcome.ANNOUNCED: 90,
    MessageOutcome.FAILED: 30,
    MessageOutcome.QUARANTINED: 90,
    MessageOutcome.DEAD: 90,
}
COUNTS_KEPT_DAYS = 400
# Less than the shortest time after which a dead worker's message comes again (setting finding_visibility_seconds: 10 or more).
CLAIM_SECONDS = 8


class IntakeLog:
    """Items ``PK = INTAKE#<day>, SK = EVENT#<utc>#<message id>``, ``PK = INTAKE#COUNTS, SK = <day>`` and ``PK = INTAKE#TOLD``."""

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
            "data": to_item(record.to_store()),
        }
        with aws_errors(f"record message {record.message_id} in table {self.table}"):
            self._db.put_item(TableName=self.table, Item=item)

    def read(self, message_id: str, received_at: datetime) -> IntakeRecord | None:
        """What is recorded of a message."""
        with aws_errors(f"read the record of message {message_id} in table {self.table}"):
            item = self._db.get_item(TableName=self.table, Key=_key(message_id, received_at), ConsistentRead=True).get(
                "Item"
            )
        return IntakeRecord.stored(from_item(item["data"])) if item else None

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

    def told_before(self, key: str, *, at: datetime, quiet: timedelta) -> bool:
        """Whether people were told of this already, and it has not been quiet for so long since; seen now, its time begins again."""
        with aws_errors(f"read what people were told, in table {self.table}"):
            known = self._db.get_item(TableName=self.table, Key=_told(key), ConsistentRead=True).get("Item")
        # DynamoDB drops an item up to days after its time.
        if known is None or "told" not in known or int(known["expires"]["N"]) <= int(at.timestamp()):
            return False
        self.told(key, at=at, quiet=quiet)
        return True

    def claim_telling(self, key: str, *, at: datetime) -> bool:
        """Whether this caller is to tell people of it: one of several at a time. The claim ends by itself, before a dead
        caller's message is delivered again."""
        now = max(at, datetime.now(UTC))
        until = str(int((now + timedelta(seconds=CLAIM_SECONDS)).timestamp()))
        try:
            with aws_errors(f"claim a message to people in table {self.table}"):
                self._db.put_item(
                    TableName=self.table,
                    Item={**_told(key), "expires": {"N": until}},
                    ConditionExpression="attribute_not_exists(PK) OR expires <= :now",
                    ExpressionAttributeValues={":now": {"N": str(int(now.timestamp()))}},
                )
        except ConflictError:
            return False
        return True

    def told(self, key: str, *, at: datetime, quiet: timedelta) -> None:
        """Note that people have been told; ``quiet``: how long nothing of it may come until they are told again."""
        until = str(int((at + quiet).timestamp()))
        with aws_errors(f"note what people were told, in table {self.table}"):
            self._db.put_item(
                TableName=self.table, Item={**_told(key), "expires": {"N": until}, "told": {"BOOL": True}}
            )

    def not_told(self, key: str) -> None:
        """Give a claim back: people could not be told."""
        with aws_errors(f"note what people were not told, in table {self.table}"):
            self._db.put_item(TableName=self.table, Item={**_told(key), "expires": {"N": "0"}})

    def tally(self, scope: str, *, at: datetime) -> int:
        """The how manieth this is of its scope in the hour of ``at``."""
        expires = str(int((at + timedelta(days=1)).timestamp()))
        key = _told(f"HOUR#{at.astimezone(UTC):%Y-%m-%dT%H}#{scope}")
        with aws_errors(f"count the messages of an hour in table {self.table}"):
            answer = self._db.update_item(
                TableName=self.table,
                Key=key,
                UpdateExpression="ADD #number :one SET expires = :expires",
                ExpressionAttributeNames={"#number": "number"},
                ExpressionAttributeValues={":one": {"N": "1"}, ":expires": {"N": expires}},
                ReturnValues="UPDATED_NEW",
            )
        return int(answer["Attributes"]["number"]["N"])

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
                yield IntakeRecord.stored(from_item(item["data"]))
            left -= len(page["Items"])
            if left <= 0:
                return


def _key(message_id: str, received_at: datetime) -> dict[str, AttributeValueTypeDef]:
    stamp = format_utc(received_at)
    return {"PK": {"S": f"INTAKE#{stamp[:10]}"}, "SK": {"S": f"EVENT#{stamp}#{message_id}"}}


def _told(key: str) -> dict[str, AttributeValueTypeDef]:
    return {"PK": {"S": "INTAKE#TOLD"}, "SK": {"S": key}}
