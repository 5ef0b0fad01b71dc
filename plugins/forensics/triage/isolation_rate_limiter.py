"""Rate limits on isolations, so that no flood of findings, genuine or forged, takes a company offline.

A scope (all, an account, an Auto Scaling group) has as many slots as its cap. A case takes one by a conditional write; a
slot is free again when the window has passed since it was taken. So the cap holds in every window of that length,
whatever runs at the same time.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import ConflictError
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef


@dataclass(frozen=True)
class IsolationCap:
    """The limit of isolations per window in one scope; ``description`` names the scope for people."""

    scope: str
    description: str
    limit: int


class IsolationRateLimiter:
    """Slots in the case table: ``PK = ISOLATIONS#<scope>``, ``SK = SLOT#<n>``."""

    def __init__(self, client: DynamoDBClient, *, table: str, window: timedelta) -> None:
        self._db = client
        self._table = table
        self._window = window

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's table and window."""
        return cls(
            session.dynamodb, table=settings.case_table, window=timedelta(minutes=settings.isolation_window_minutes)
        )

    def reserve(self, case_id: str, caps: Sequence[IsolationCap], *, now: datetime) -> str | None:
        """Take a slot in every scope, or none: then the reason is returned. A case that has its slots keeps them.

        ``caps``: the narrowest scope first.
        """
        taken: list[tuple[IsolationCap, int]] = []
        for cap in caps:
            slot, fresh = self._take(case_id, cap, now=now)
            if slot is None:
                for other, number in taken:
                    self._give_back(case_id, other, number)
                minutes = int(self._window.total_seconds() // 60)
                return f"the cap of {cap.limit} isolations in {minutes} minutes is reached for {cap.description}"
            if fresh:
                taken.append((cap, slot))
        return None

    def _take(self, case_id: str, cap: IsolationCap, *, now: datetime) -> tuple[int | None, bool]:
        taken = self._taken(cap, now=now)
        mine = next((number for number, owner in taken.items() if owner == case_id and number < cap.limit), None)
        if mine is not None:
            return mine, False
        # Each case starts at another slot, so that many at once rarely collide.
        start = zlib.crc32(case_id.encode()) % max(1, cap.limit)
        free = [n for i in range(cap.limit) if (n := (start + i) % cap.limit) not in taken]
        return next((number for number in free if self._claim_slot(case_id, cap, number, now=now)), None), True

    def _taken(self, cap: IsolationCap, *, now: datetime) -> dict[int, str]:
        with aws_errors(f"read the isolations of {cap.description} in table {self._table}"):
            # At most a thousand slots of some hundred bytes: one page (a megabyte) holds them all.
            items = self._db.query(
                TableName=self._table,
                KeyConditionExpression="PK = :p",
                ExpressionAttributeValues={":p": {"S": _pk(cap)}},
                ConsistentRead=True,
            )["Items"]
        earliest = self._earliest(now)
        return {_number(item): item["case_id"]["S"] for item in items if int(item["taken"]["N"]) > earliest}

    def _claim_slot(self, case_id: str, cap: IsolationCap, number: int, *, now: datetime) -> bool:
        try:
            with aws_errors(f"take an isolation slot of {cap.description} in table {self._table}"):
                self._db.put_item(
                    TableName=self._table,
                    Item={
                        **_key(cap, number),
                        "case_id": {"S": case_id},
                        "taken": {"N": str(_millis(now))},
                        "expires": {"N": str(int((now + 2 * self._window).timestamp()))},
                    },
                    ConditionExpression="attribute_not_exists(PK) OR taken <= :e",
                    ExpressionAttributeValues={":e": {"N": str(self._earliest(now))}},
                )
        except ConflictError:
            return False
        return True

    def _give_back(self, case_id: str, cap: IsolationCap, number: int) -> None:
        try:
            with aws_errors(f"give back an isolation slot of {cap.description} in table {self._table}"):
                self._db.delete_item(
                    TableName=self._table,
                    Key=_key(cap, number),
                    ConditionExpression="case_id = :c",
                    ExpressionAttributeValues={":c": {"S": case_id}},
                )
        except ConflictError:
            # Another case has taken it since: there is nothing to give back.
            return

    def _earliest(self, now: datetime) -> int:
        return _millis(now - self._window)


def _millis(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _pk(cap: IsolationCap) -> str:
    return f"ISOLATIONS#{cap.scope}"


def _key(cap: IsolationCap, number: int) -> dict[str, AttributeValueTypeDef]:
    return {"PK": {"S": _pk(cap)}, "SK": {"S": f"SLOT#{number:05d}"}}


def _number(item: Mapping[str, AttributeValueTypeDef]) -> int:
    return int(item["SK"]["S"].removeprefix("SLOT#"))
