"""The case store: one DynamoDB table (docs/architecture.md, "Stores")."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

from forensics.aws.error_map import aws_errors
from forensics.errors import CaseError, ConflictError
from forensics.models.base import Model, format_utc
from forensics.models.case import Case, CaseStatus, Milestone, StepFailure, TimelineEntry, TimelineKind
from forensics.models.finding import Finding

M = TypeVar("M", bound=Model)
_SER, _DE = TypeSerializer(), TypeDeserializer()


def to_item(value: Any) -> Any:
    """A JSON value as a DynamoDB attribute value (floats become exact decimals)."""
    return _SER.serialize(json.loads(json.dumps(value), parse_float=Decimal))


def from_item(attribute: Any) -> Any:
    """The JSON value of a DynamoDB attribute value."""
    return _plain(_DE.deserialize(attribute))


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        # Beyond 2**53 a JSON number is a float; as an integer it would get another digest (RFC 8785).
        exact = value == value.to_integral_value() and abs(value) <= 2**53
        return int(value) if exact else float(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value


def case_pk(case_id: str) -> str:
    """Partition key of a case."""
    return f"CASE#{case_id}"


class CaseStore:
    """Reads and writes of cases; every write is idempotent."""

    def __init__(self, client: Any, *, table: str) -> None:
        self._db = client
        self.table = table

    # ------------------------------------------------------------------ opening and closing
    def open_case(self, case: Case, *, finding: Finding) -> tuple[str, str]:
        """Open the case, or join the one that holds the instance.

        Returns (``opened`` | ``exists`` | ``joined``, case id). One open case per instance is decided by conditional
        writes, so that races and re-deliveries cannot open two (R25).
        """
        meta = {
            **self._key(case.case_id, "META"),
            **self._indexes(case),
            "data": to_item(case.model_dump(mode="json")),
        }
        lock = {"PK": {"S": _lock_pk(case)}, "SK": {"S": "LOCK"}, "case_id": {"S": case.case_id}}
        fresh = "attribute_not_exists(PK)"
        items = [
            {"Put": {"TableName": self.table, "Item": meta, "ConditionExpression": fresh}},
            {"Put": {"TableName": self.table, "Item": lock, "ConditionExpression": fresh}},
        ]
        try:
            with aws_errors(f"open case {case.case_id} in table {self.table}"):
                self._db.transact_write_items(TransactItems=items)
            how, holder = "opened", case.case_id
        except ConflictError:
            how, holder = self._holder(case)
        self.add_finding(holder, finding)
        return how, holder

    def _holder(self, case: Case) -> tuple[str, str]:
        if self._get(case.case_id, "META") is not None:
            return "exists", case.case_id
        with aws_errors(f"read the open-case lock of {case.instance_id} in table {self.table}"):
            lock = self._db.get_item(
                TableName=self.table,
                Key={"PK": {"S": _lock_pk(case)}, "SK": {"S": "LOCK"}},
                ConsistentRead=True,
            ).get("Item")
        if lock is None:
            msg = f"case {case.case_id} could not be opened: the lock of {case.instance_id} was released meanwhile"
            raise CaseError(msg, next_action="nothing: the message is delivered again")
        return "joined", str(lock["case_id"]["S"])

    def release_lock(self, case: Case) -> None:
        """Let a new finding on the instance open a new case; a lock of another case is left alone."""
        try:
            with aws_errors(f"release the lock of {case.instance_id} in table {self.table}"):
                self._db.delete_item(
                    TableName=self.table,
                    Key={"PK": {"S": _lock_pk(case)}, "SK": {"S": "LOCK"}},
                    ConditionExpression="case_id = :c",
                    ExpressionAttributeValues={":c": {"S": case.case_id}},
                )
        except ConflictError:
            return

    def add_finding(self, case_id: str, finding: Finding) -> bool:
        """Record a finding in a case once; returns whether it was new there."""
        return self.put_once(case_id, f"FINDING#{finding.key}#{finding.source.value}", finding)

    def case(self, case_id: str) -> Case:
        """Return the head record, or raise :class:`CaseError`."""
        data = self._get(case_id, "META")
        if data is None:
            msg = f"case {case_id} does not exist in table {self.table}"
            raise CaseError(msg, next_action="start the case from the Airflow UI or send the finding again")
        return Case.model_validate(data)

    def update_case(self, case_id: str, **changes: Any) -> Case:
        """Change fields of the head record (status, phase, run id, closing time), each by itself and atomically."""
        plain = Case.model_validate({**self.case(case_id).model_dump(), **changes}).model_dump(mode="json")
        names, values, sets = {"#d": "data"}, {}, []
        for number, field in enumerate(changes):
            names[f"#f{number}"], values[f":v{number}"] = field, to_item(plain[field])
            sets.append(f"#d.#f{number} = :v{number}")
        if "status" in changes:
            values[":s"] = {"S": f"STATUS#{plain['status']}"}
            sets.append("GSI2PK = :s")
        with aws_errors(f"update case {case_id} in table {self.table}"):
            answer = self._db.update_item(
                TableName=self.table,
                Key=self._key(case_id, "META"),
                UpdateExpression="SET " + ", ".join(sets),
                ConditionExpression="attribute_exists(PK)",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
            )
        return Case.model_validate(from_item(answer["Attributes"]["data"]))

    # ------------------------------------------------------------------ items
    def _key(self, case_id: str, sk: str) -> dict[str, Any]:
        return {"PK": {"S": case_pk(case_id)}, "SK": {"S": sk}}

    def _indexes(self, case: Case) -> dict[str, Any]:
        opened = format_utc(case.opened_at)
        return {
            "GSI1PK": {"S": f"{case.account_id}#{case.region}#{case.instance_id}"},
            "GSI1SK": {"S": f"{opened}#{case.case_id}"},
            "GSI2PK": {"S": f"STATUS#{case.status.value}"},
            "GSI2SK": {"S": f"{opened}#{case.case_id}"},
        }

    def _get(self, case_id: str, sk: str) -> Any:
        with aws_errors(f"read {sk} of case {case_id} in table {self.table}"):
            answer = self._db.get_item(TableName=self.table, Key=self._key(case_id, sk), ConsistentRead=True)
        return from_item(answer["Item"]["data"]) if "Item" in answer else None

    def get(self, case_id: str, sk: str, kind: type[M]) -> M | None:
        """Read one item as a model."""
        data = self._get(case_id, sk)
        return None if data is None else kind.model_validate(data)

    def put(self, case_id: str, sk: str, value: Model) -> None:
        """Write an item, replacing an older version of itself."""
        item = {**self._key(case_id, sk), "data": to_item(value.model_dump(mode="json", by_alias=True))}
        with aws_errors(f"write {sk} of case {case_id} in table {self.table}"):
            self._db.put_item(TableName=self.table, Item=item)

    def put_once(self, case_id: str, sk: str, value: Model | dict[str, Any]) -> bool:
        """Write an item only if it does not exist; returns whether this call wrote it."""
        data = value.model_dump(mode="json", by_alias=True) if isinstance(value, Model) else value
        try:
            with aws_errors(f"write {sk} of case {case_id} in table {self.table}"):
                self._db.put_item(
                    TableName=self.table,
                    Item={**self._key(case_id, sk), "data": to_item(data)},
                    ConditionExpression="attribute_not_exists(PK)",
                )
        except ConflictError:
            return False
        return True

    def items(self, case_id: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """(sort key, data) of all items of a case whose sort key starts with ``prefix``, in order; all pages."""
        request: dict[str, Any] = {
            "TableName": self.table,
            "KeyConditionExpression": "PK = :p" + (" AND begins_with(SK, :s)" if prefix else ""),
            "ExpressionAttributeValues": {
                ":p": {"S": case_pk(case_id)},
                **({":s": {"S": prefix}} if prefix else {}),
            },
            "ConsistentRead": True,
        }
        while True:
            with aws_errors(f"read case {case_id} in table {self.table}"):
                page = self._db.query(**request)
            for item in page["Items"]:
                yield item["SK"]["S"], from_item(item["data"]) if "data" in item else None
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    # ------------------------------------------------------------------ what people read
    def milestone(self, case_id: str, name: Milestone, at: datetime | None = None) -> bool:
        """Record a time of R117 the first time it happens."""
        return self.put_once(case_id, f"MILESTONE#{name.value}", {"at": format_utc(at or datetime.now(UTC))})

    def note(
        self,
        case_id: str,
        what: str,
        *,
        kind: TimelineKind,
        source: str,
        at: datetime | None = None,
        evidence_id: str | None = None,
    ) -> None:
        """Add a timeline entry; the same entry twice is one."""
        entry = TimelineEntry(
            time=at or datetime.now(UTC), kind=kind, what=what, source=source, evidence_id=evidence_id
        )
        mark = hashlib.sha256(f"{what}|{source}".encode()).hexdigest()[:12]
        self.put_once(case_id, f"TIMELINE#{format_utc(entry.time)}#{mark}", entry)

    def fail(self, case_id: str, failure: StepFailure) -> None:
        """Record that a step failed for good (replaced when it fails again, removed when it succeeds)."""
        self.put(case_id, f"FAILURE#{failure.step}", failure)

    def clear_failure(self, case_id: str, step: str) -> None:
        """Remove the failure of a step that has succeeded since."""
        with aws_errors(f"clear failure of {step} in case {case_id}"):
            self._db.delete_item(TableName=self.table, Key=self._key(case_id, f"FAILURE#{step}"))

    def list_cases(self, *, limit: int = 50, cursor: str | None = None) -> tuple[list[Case], str | None]:
        """Newest cases first over all statuses; ``cursor`` continues after the last one shown."""
        found: list[tuple[str, Case]] = []
        for status in CaseStatus:
            condition, values = "GSI2PK = :p", {":p": {"S": f"STATUS#{status.value}"}}
            if cursor:
                condition, values = condition + " AND GSI2SK < :c", {**values, ":c": {"S": cursor}}
            with aws_errors(f"list cases in table {self.table}"):
                page = self._db.query(
                    TableName=self.table,
                    IndexName="GSI2",
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ScanIndexForward=False,
                    Limit=limit + 1,
                )
            found += [(i["GSI2SK"]["S"], Case.model_validate(from_item(i["data"]))) for i in page["Items"]]
        found.sort(key=lambda pair: pair[0], reverse=True)
        page_items = found[:limit]
        return [case for _, case in page_items], (page_items[-1][0] if len(found) > limit else None)


def _lock_pk(case: Case) -> str:
    return f"OPEN#{case.account_id}#{case.region}#{case.instance_id}"
