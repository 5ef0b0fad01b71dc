"""The case store: one DynamoDB table (docs/architecture.md, "Stores")."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Self, TypeVar

from forensics import case_keys
from forensics.aws.attributes import from_item, to_item
from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import CaseError, ConflictError
from forensics.models.base import Model, format_utc
from forensics.models.case import Case, CaseStatus, Milestone, StepFailure, TimelineEntry, TimelineKind
from forensics.models.finding import Finding
from forensics.models.intake import AdmissionOutcome
from forensics.settings import Settings

OPEN_TRIES = 6
_FRESH = {"ConditionExpression": "attribute_not_exists(PK)"}
M = TypeVar("M", bound=Model)


def case_pk(case_id: str) -> str:
    """Partition key of a case."""
    return f"CASE#{case_id}"


class CaseStore:
    """Reads and writes of cases; every write is idempotent."""

    def __init__(self, client: Any, *, table: str) -> None:
        self._db = client
        self.table = table

    @classmethod
    def of(cls, session: AwsSession, settings: Settings) -> Self:
        """The deployment's table."""
        return cls(session.dynamodb, table=settings.case_table)

    # ------------------------------------------------------------------ opening and closing
    def open_case(self, case: Case, *, finding: Finding, after: str | None = None) -> tuple[AdmissionOutcome, str]:
        """Open the case, or find the one that this finding belongs to; returns the outcome and the case id.

        Decided by conditional writes alone, so that races and redeliveries cannot open two: ``OPENED``; ``JOINED``:
        another finding, or another format of the same one, on an instance whose case is open; ``RAISED``: a finding of
        the open case, now more severe; ``EXISTS``: delivered again; ``CLOSED``: delivered again after its case was
        closed; ``ESCALATED``: the same, but now more severe. ``after`` is the closed case that an escalated finding may
        leave.
        """
        for attempt in range(OPEN_TRIES):
            if self._try_open(case, finding, after):
                return AdmissionOutcome.OPENED, case.case_id
            known = self.case_of_finding(finding)
            if known is not None and known != after:
                return self._known_finding(known, finding)
            if self._get(case.case_id, case_keys.CASE) is not None:
                return self._known_finding(case.case_id, finding)
            holder = self._lock_holder(case)
            if holder is not None and self._try_join(holder, case, finding):
                return AdmissionOutcome.JOINED, holder
            # The holder closed meanwhile, or DynamoDB saw another transaction on the same items.
            time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
        msg = f"case {case.case_id} could not be opened: the lock of {case.instance_id} kept changing hands"
        raise CaseError(msg, next_action="nothing: the message is delivered again")

    def _try_open(self, case: Case, finding: Finding, after: str | None) -> bool:
        meta = {
            **self._key(case.case_id, case_keys.CASE),
            **self._indexes(case),
            "data": to_item(case.model_dump(mode="json")),
        }
        lock = {**_lock_key(case), "case_id": {"S": case.case_id}}
        index: dict[str, Any] = {"Item": {**_finding_key(finding), "case_id": {"S": case.case_id}}, **_FRESH}
        if after:
            index["ConditionExpression"] = "attribute_not_exists(PK) OR case_id = :after"
            index["ExpressionAttributeValues"] = {":after": {"S": after}}
        puts = [
            {"Item": meta, **_FRESH},
            {"Item": lock, **_FRESH},
            index,
            {"Item": self._finding(case.case_id, finding)},
        ]
        return self._transact([{"Put": {"TableName": self.table, **p}} for p in puts], f"open case {case.case_id}")

    def _try_join(self, holder: str, case: Case, finding: Finding) -> bool:
        """Add the finding to the holder's case while that holds the instance."""
        held = {
            "TableName": self.table,
            "Key": _lock_key(case),
            "ConditionExpression": "case_id = :holder",
            "ExpressionAttributeValues": {":holder": {"S": holder}},
        }
        index = {"TableName": self.table, "Item": {**_finding_key(finding), "case_id": {"S": holder}}, **_FRESH}
        item = {"TableName": self.table, "Item": self._finding(holder, finding)}
        writes = [{"ConditionCheck": held}, {"Put": index}, {"Put": item}]
        return self._transact(writes, f"add a finding to case {holder}")

    def _transact(self, items: list[dict[str, Any]], what: str) -> bool:
        try:
            with aws_errors(f"{what} in table {self.table}"):
                self._db.transact_write_items(TransactItems=items)
        except ConflictError:
            return False
        return True

    def _known_finding(self, holder: str, finding: Finding) -> tuple[AdmissionOutcome, str]:
        """The outcome for a finding whose case is known."""
        if self.case(holder).closed:
            seen = [Finding.model_validate(d) for _, d in self.items(holder, f"{case_keys.FINDING}{finding.key}#")]
            raised = seen and finding.severity.rank > max(f.severity.rank for f in seen)
            return (AdmissionOutcome.ESCALATED if raised else AdmissionOutcome.CLOSED), holder
        before = self.get(holder, case_keys.finding(finding), Finding)
        if not self.add_finding(holder, finding):
            return AdmissionOutcome.EXISTS, holder
        return (AdmissionOutcome.JOINED if before is None else AdmissionOutcome.RAISED), holder

    def case_of_finding(self, finding: Finding) -> str | None:
        """The case that a finding belongs to, in whatever shape it came."""
        with aws_errors(f"read the case of finding {finding.key} in table {self.table}"):
            item = self._db.get_item(TableName=self.table, Key=_finding_key(finding), ConsistentRead=True).get("Item")
        return str(item["case_id"]["S"]) if item else None

    def _lock_holder(self, case: Case) -> str | None:
        with aws_errors(f"read the open-case lock of {case.instance_id} in table {self.table}"):
            lock = self._db.get_item(TableName=self.table, Key=_lock_key(case), ConsistentRead=True).get("Item")
        return str(lock["case_id"]["S"]) if lock else None

    def hold_lock(self, case: Case) -> None:
        """Take the instance's lock again for a case that is worked again after it was closed; another holder keeps it."""
        try:
            with aws_errors(f"take the lock of {case.instance_id} in table {self.table}"):
                self._db.put_item(
                    TableName=self.table, Item={**_lock_key(case), "case_id": {"S": case.case_id}}, **_FRESH
                )
        except ConflictError:
            return

    def release_lock(self, case: Case) -> None:
        """Let a new finding on the instance open a new case; a lock of another case is left alone."""
        try:
            with aws_errors(f"release the lock of {case.instance_id} in table {self.table}"):
                self._db.delete_item(
                    TableName=self.table,
                    Key=_lock_key(case),
                    ConditionExpression="case_id = :c",
                    ExpressionAttributeValues={":c": {"S": case.case_id}},
                )
        except ConflictError:
            return

    def add_finding(self, case_id: str, finding: Finding) -> bool:
        """Record a finding in a case; returns whether it was new there, or more severe than when it came before."""
        try:
            with aws_errors(f"write a finding of case {case_id} in table {self.table}"):
                self._db.put_item(
                    TableName=self.table,
                    Item=self._finding(case_id, finding),
                    ConditionExpression="attribute_not_exists(PK) OR severity_rank < :rank",
                    ExpressionAttributeValues={":rank": {"N": str(finding.severity.rank)}},
                )
        except ConflictError:
            return False
        return True

    def _finding(self, case_id: str, finding: Finding) -> dict[str, Any]:
        return {
            **self._key(case_id, case_keys.finding(finding)),
            "severity_rank": {"N": str(finding.severity.rank)},
            "data": to_item(finding.model_dump(mode="json")),
        }

    def case(self, case_id: str) -> Case:
        """Return the head record, or raise :class:`CaseError`."""
        data = self._get(case_id, case_keys.CASE)
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
                Key=self._key(case_id, case_keys.CASE),
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

    def data(self, case_id: str, sk: str) -> Any | None:
        """One item of a case as JSON."""
        return self._get(case_id, sk)

    def get(self, case_id: str, sk: str, kind: type[M]) -> M | None:
        """Read one item as a model."""
        data = self._get(case_id, sk)
        return None if data is None else kind.model_validate(data)

    def has(self, case_id: str, sk: str) -> bool:
        """Whether an item exists."""
        with aws_errors(f"look for {sk} of case {case_id} in table {self.table}"):
            answer = self._db.get_item(
                TableName=self.table, Key=self._key(case_id, sk), ConsistentRead=True, ProjectionExpression="PK"
            )
        return "Item" in answer

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

    def lease(self, case_id: str, name: str, *, holder: str, seconds: int) -> bool:
        """Take or renew a lease; False while another holder's has not run out. It ends by itself after a kill."""
        now = int(datetime.now(UTC).timestamp())
        try:
            with aws_errors(f"take lease {name} of case {case_id} in table {self.table}"):
                self._db.put_item(
                    TableName=self.table,
                    Item={
                        **self._key(case_id, f"{case_keys.LEASE}{name}"),
                        "holder": {"S": holder},
                        "until": {"N": str(now + seconds)},
                    },
                    ConditionExpression="attribute_not_exists(PK) OR holder = :h OR #u < :n",
                    ExpressionAttributeNames={"#u": "until"},
                    ExpressionAttributeValues={":h": {"S": holder}, ":n": {"N": str(now)}},
                )
        except ConflictError:
            return False
        return True

    def release_lease(self, case_id: str, name: str) -> None:
        """Give a lease back."""
        with aws_errors(f"give lease {name} of case {case_id} back in table {self.table}"):
            self._db.delete_item(TableName=self.table, Key=self._key(case_id, f"{case_keys.LEASE}{name}"))

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
        return self.put_once(case_id, f"{case_keys.MILESTONE}{name.value}", {"at": format_utc(at or datetime.now(UTC))})

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
        self.put_once(case_id, f"{case_keys.TIMELINE}{format_utc(entry.time)}#{mark}", entry)

    def fail(self, case_id: str, failure: StepFailure) -> None:
        """Record that a step failed for good (replaced when it fails again, removed when it succeeds)."""
        self.put(case_id, f"{case_keys.FAILURE}{failure.step}", failure)

    def clear_failure(self, case_id: str, step: str) -> None:
        """Remove the failure of a step that has succeeded since."""
        with aws_errors(f"clear failure of {step} in case {case_id}"):
            self._db.delete_item(TableName=self.table, Key=self._key(case_id, f"{case_keys.FAILURE}{step}"))

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

    def contained_case(self, account_id: str, region: str, instance_id: str) -> Case | None:
        """The newest case of an instance that has a restore point: the one whose containment a release undoes."""
        place = {":p": {"S": f"{account_id}#{region}#{instance_id}"}}
        request = {"IndexName": "GSI1", "KeyConditionExpression": "GSI1PK = :p", "ExpressionAttributeValues": place}
        with aws_errors(f"look up the cases of {instance_id} in table {self.table}"):
            pages = self._db.get_paginator("query").paginate(TableName=self.table, ScanIndexForward=False, **request)
            cases = [Case.model_validate(from_item(item["data"])) for page in pages for item in page["Items"]]
        return next((case for case in cases if self.has(case.case_id, case_keys.RESTORE_POINT)), None)


def _lock_key(case: Case) -> dict[str, Any]:
    return {"PK": {"S": f"OPEN#{case.account_id}#{case.region}#{case.instance_id}"}, "SK": {"S": "LOCK"}}


def _finding_key(finding: Finding) -> dict[str, Any]:
    # A person's custom action on a finding is an order of its own.
    order = f"#{finding.action.value}" if finding.action else ""
    return {"PK": {"S": f"FINDING#{finding.key}{order}"}, "SK": {"S": "CASE"}}
