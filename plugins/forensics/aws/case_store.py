"""The case store: one DynamoDB table (docs/architecture.md, "Stores")."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import JsonValue

from forensics import case_keys
from forensics.aws.attributes import from_item, to_item
from forensics.aws.case_items import (
    NEW_ITEM,
    case_pk,
    case_update,
    finding_item,
    finding_key,
    follows,
    indexes,
    item_key,
    lock_key,
    severity_update,
)
from forensics.aws.case_leases import CaseLeases
from forensics.aws.case_lines import CaseLines
from forensics.aws.case_locks import CaseLocks
from forensics.aws.error_map import aws_errors, error_code
from forensics.aws.indicator_index import IndicatorIndex
from forensics.aws.session import AwsSession
from forensics.errors import AwsError, CaseError, ConflictError
from forensics.models.base import Model, VersionedModel, format_utc
from forensics.models.case import Case, CaseStatus, Milestone, StepFailure, TimelineEntry, TimelineKind
from forensics.models.finding import Finding, Severity
from forensics.models.intake import AdmissionOutcome
from forensics.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        PutTypeDef,
        QueryInputTypeDef,
        TransactGetItemTypeDef,
        TransactWriteItemTypeDef,
    )

    from forensics.aws.case_items import Attributes

OPEN_TRIES = 6
M = TypeVar("M", bound=Model)


class CaseStore(CaseLeases):
    """Reads and writes of cases; every write is idempotent."""

    def __init__(self, client: DynamoDBClient, *, table: str) -> None:
        super().__init__(client, table=table)
        self._locks = CaseLocks(client, table=table)
        self.lines = CaseLines(client, table=table)
        self.indicators = IndicatorIndex(client, table=table)

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
            if self.data(case.case_id, case_keys.CASE) is not None:
                return self._known_finding(case.case_id, finding)
            holder = self._locks.holder(case)
            if holder is not None and self.case(holder).ended:
                # its end was written and its lock was not freed (earlier releases did that in two steps)
                free = [self._locks.ended(holder), self._locks.freed(case, holder=holder)]
                self._transact(free, f"free {case.instance_id} of case {holder}, which has ended")
                continue
            if holder is not None and self._try_join(holder, case, finding):
                return AdmissionOutcome.JOINED, holder
            # The holder closed meanwhile, or DynamoDB saw another transaction on the same items.
            time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
        msg = f"case {case.case_id} could not be opened: the lock of {case.instance_id} kept changing hands"
        raise CaseError(msg, next_action="nothing: the message is delivered again")

    def _try_open(self, case: Case, finding: Finding, after: str | None) -> bool:
        meta = {
            **item_key(case.case_id, case_keys.CASE),
            **indexes(case),
            "data": to_item(case.to_store(by_alias=False)),
        }
        own: Attributes = {"case_id": {"S": case.case_id}}
        index = self._new({**finding_key(finding), **own})
        if after:
            index["ConditionExpression"] = f"{NEW_ITEM} OR case_id = :after"
            index["ExpressionAttributeValues"] = {":after": {"S": after}}
        writes: list[TransactWriteItemTypeDef] = [
            {"Put": self._new(meta)},
            {"Put": self._new({**lock_key(case), **own})},
            {"Put": index},
            {"Put": {"TableName": self.table, "Item": finding_item(case.case_id, finding)}},
        ]
        return self._transact(writes, f"open case {case.case_id}")

    def _new(self, item: Attributes) -> PutTypeDef:
        """A write of a transaction that fails when the item exists."""
        return {"TableName": self.table, "Item": item, "ConditionExpression": NEW_ITEM}

    def _try_join(self, holder: str, case: Case, finding: Finding) -> bool:
        """Add the finding to the holder's case while that holds the instance."""
        writes: list[TransactWriteItemTypeDef] = [
            {
                "ConditionCheck": {
                    "TableName": self.table,
                    "Key": lock_key(case),
                    "ConditionExpression": "case_id = :holder",
                    "ExpressionAttributeValues": {":holder": {"S": holder}},
                }
            },
            {"Put": self._new({**finding_key(finding), "case_id": {"S": holder}})},
            {"Put": {"TableName": self.table, "Item": finding_item(holder, finding)}},
        ]
        return self._transact(writes, f"add a finding to case {holder}")

    def _transact(self, writes: list[TransactWriteItemTypeDef], what: str) -> bool:
        try:
            with aws_errors(f"{what} in table {self.table}"):
                self._db.transact_write_items(TransactItems=writes)
        except ConflictError:
            return False
        return True

    def _known_finding(self, holder: str, finding: Finding) -> tuple[AdmissionOutcome, str]:
        """The outcome for a finding whose case is known."""
        if self.case(holder).ended:
            seen = [Finding.stored(d) for _, d in self.items(holder, f"{case_keys.FINDING}{finding.key}#")]
            raised = seen and finding.severity.rank > max(f.severity.rank for f in seen)
            return (AdmissionOutcome.ESCALATED if raised else AdmissionOutcome.CLOSED), holder
        before = self.get(holder, case_keys.finding(finding), Finding)
        if not self.add_finding(holder, finding):
            return AdmissionOutcome.EXISTS, holder
        return (AdmissionOutcome.JOINED if before is None else AdmissionOutcome.RAISED), holder

    def case_of_finding(self, finding: Finding) -> str | None:
        """The case that a finding belongs to, whatever format it arrived in."""
        with aws_errors(f"read the case of finding {finding.key} in table {self.table}"):
            item = self._db.get_item(TableName=self.table, Key=finding_key(finding), ConsistentRead=True).get("Item")
        return str(item["case_id"]["S"]) if item else None

    def begin_case(self, case_id: str, *, run_id: str) -> Case:
        """A run has the case: it is open and holds its instance, both or neither. Another holder keeps the instance."""
        case = self.case(case_id)

        def lock() -> list[TransactWriteItemTypeDef]:
            holder = self._locks.holder(case)
            return [self._locks.taken(case)] if holder in {None, case_id} else []

        return self._with_lock(case_id, lock, run_id=run_id, status=CaseStatus.OPEN)

    def end_case(self, case_id: str, *, status: CaseStatus, **changes: object) -> Case:
        """The case has ended and holds its instance no more, both or neither; a lock of another case is left alone."""
        case = self.case(case_id)

        def lock() -> list[TransactWriteItemTypeDef]:
            held = self._locks.holder(case) == case_id
            return [self._locks.freed(case, holder=case_id)] if held else []

        return self._with_lock(case_id, lock, status=status, **changes)

    def _with_lock(self, case_id: str, lock: Callable[[], list[TransactWriteItemTypeDef]], **changes: object) -> Case:
        for attempt in range(OPEN_TRIES):
            update: TransactWriteItemTypeDef = {"Update": case_update(self.table, self.case(case_id), changes)}
            if self._transact([update, *lock()], f"update case {case_id} and its lock"):
                return self.case(case_id)
            time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
        msg = f"case {case_id} could not be updated: the lock of its instance kept changing hands"
        raise CaseError(msg, next_action="nothing: the step is tried again")

    def add_finding(self, case_id: str, finding: Finding) -> bool:
        """Record a finding in a case; returns whether it was new there, or more severe than before."""
        try:
            with aws_errors(f"write a finding of case {case_id} in table {self.table}"):
                self._db.put_item(
                    TableName=self.table,
                    Item=finding_item(case_id, finding),
                    ConditionExpression=f"{NEW_ITEM} OR severity_rank < :rank",
                    ExpressionAttributeValues={":rank": {"N": str(finding.severity.rank)}},
                )
        except ConflictError:
            return False
        return True

    def case(self, case_id: str) -> Case:
        """Return the head record, or raise :class:`CaseError`."""
        data = self.data(case_id, case_keys.CASE)
        if data is None:
            msg = f"case {case_id} does not exist in table {self.table}"
            raise CaseError(msg, next_action="start the case from the Airflow UI or send the finding again")
        return Case.stored(data)

    def update_case(self, case_id: str, **changes: object) -> Case:
        """Change fields of the head record (phase, run id, status); each field on its own, in one atomic update."""
        with aws_errors(f"update case {case_id} in table {self.table}"):
            change = case_update(self.table, self.case(case_id), changes)
            answer = self._db.update_item(**change, ReturnValues="ALL_NEW")
        return Case.stored(from_item(answer["Attributes"]["data"]))

    def raise_severity(self, case_id: str, severity: Severity) -> bool:
        """Make the case as severe as a finding of it; whether it was less severe. Of several at once the most severe stays."""
        change = severity_update(self.table, case_id, severity)
        try:
            with aws_errors(f"raise the severity of case {case_id} in table {self.table}"):
                self._db.update_item(**change)
        except ConflictError:
            return False
        return True

    def data(self, case_id: str, sk: str) -> JsonValue:
        """One item of a case as JSON; None when it does not exist."""
        with aws_errors(f"read {sk} of case {case_id} in table {self.table}"):
            answer = self._db.get_item(TableName=self.table, Key=item_key(case_id, sk), ConsistentRead=True)
        return from_item(answer["Item"]["data"]) if "Item" in answer else None

    def several(self, case_id: str, sks: Sequence[str]) -> dict[str, JsonValue]:
        """Items of a case as JSON, by sort key, as they were at one moment, 100 at most; those that do not exist are left out.

        IAM asks for ``dynamodb:GetItem`` (DynamoDB developer guide, "Using IAM with DynamoDB transactions"). DynamoDB cancels it while
        a transaction changes one of them, and refuses more than 4 MB: then each is read by itself.
        """
        wanted: list[TransactGetItemTypeDef] = [
            {"Get": {"TableName": self.table, "Key": item_key(case_id, sk)}} for sk in sks
        ]
        try:
            with aws_errors(f"read {len(sks)} items of case {case_id} in table {self.table}"):
                answers = self._db.transact_get_items(TransactItems=wanted)["Responses"]
        except AwsError as error:
            if not isinstance(error, ConflictError) and error_code(error) != "ValidationException":
                raise
            return {sk: data for sk in sks if (data := self.data(case_id, sk)) is not None}
        return {sk: from_item(a["Item"]["data"]) for sk, a in zip(sks, answers, strict=True) if "Item" in a}

    def get(self, case_id: str, sk: str, kind: type[M]) -> M | None:
        """Read one item as a model."""
        data = self.data(case_id, sk)
        return None if data is None else kind.stored(data)

    def has(self, case_id: str, sk: str) -> bool:
        """Whether an item exists."""
        with aws_errors(f"look for {sk} of case {case_id} in table {self.table}"):
            answer = self._db.get_item(
                TableName=self.table, Key=item_key(case_id, sk), ConsistentRead=True, ProjectionExpression="PK"
            )
        return "Item" in answer

    def put(self, case_id: str, sk: str, value: Model) -> None:
        """Write an item, replacing an older version of itself."""
        item = {**item_key(case_id, sk), "data": to_item(value.to_store())}
        with aws_errors(f"write {sk} of case {case_id} in table {self.table}"):
            self._db.put_item(TableName=self.table, Item=item)

    def swap(self, case_id: str, sk: str, value: VersionedModel) -> bool:
        """Write an item whose version follows the one that is stored; of several who read the same version one wins.

        ``value.version`` is 1 for an item that does not exist, or that was written without a version.
        """
        data = to_item(value.to_store())
        item: Attributes = {**item_key(case_id, sk), "data": data, "version": {"N": str(value.version)}}
        return self._put_if(item, follows(value.version), what=f"write {sk} of case {case_id}")

    def put_once(self, case_id: str, sk: str, value: Model | Mapping[str, JsonValue]) -> bool:
        """Write an item only if it does not exist; returns whether this call wrote it."""
        data = value.to_store() if isinstance(value, Model) else dict(value)
        item = {**item_key(case_id, sk), "data": to_item(data)}
        return self._put_if(item, {"ConditionExpression": NEW_ITEM}, what=f"write {sk} of case {case_id}")

    def remove(self, case_id: str, sk: str) -> None:
        """Delete one item, if it exists."""
        with aws_errors(f"delete {sk} of case {case_id} in table {self.table}"):
            self._db.delete_item(TableName=self.table, Key=item_key(case_id, sk))

    def items(self, case_id: str, prefix: str = "", *, page_size: int | None = None) -> Iterator[tuple[str, Any]]:
        """(sort key, data) of all items of a case whose sort key starts with ``prefix``, in order; pages as they are needed.

        The data are JSON: the reader knows the item's model and validates it. ``page_size``: most items of one request.
        """
        request: QueryInputTypeDef = {
            "TableName": self.table,
            "KeyConditionExpression": "PK = :p" + (" AND begins_with(SK, :s)" if prefix else ""),
            "ExpressionAttributeValues": {
                ":p": {"S": case_pk(case_id)},
                **({":s": {"S": prefix}} if prefix else {}),
            },
            "ConsistentRead": True,
        }
        if page_size:
            request["Limit"] = page_size
        while True:
            with aws_errors(f"read case {case_id} in table {self.table}"):
                page = self._db.query(**request)
            for item in page["Items"]:
                yield item["SK"]["S"], from_item(item["data"]) if "data" in item else None
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def milestone(self, case_id: str, name: Milestone, at: datetime | None = None) -> bool:
        """Record the time of a milestone when it is reached for the first time."""
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
        """Add a timeline entry; the same entry is added only once."""
        entry = TimelineEntry(
            time=at or datetime.now(UTC), kind=kind, what=what, source=source, evidence_id=evidence_id
        )
        mark = hashlib.sha256(f"{entry.what}|{source}".encode()).hexdigest()[:12]
        self.put_once(case_id, f"{case_keys.TIMELINE}{format_utc(entry.time)}#{mark}", entry)

    def fail(self, case_id: str, failure: StepFailure) -> None:
        """Record that a step failed after its last try; replaced when it fails again, removed when it succeeds."""
        self.put(case_id, f"{case_keys.FAILURE}{failure.step}", failure)

    def clear_failure(self, case_id: str, step: str) -> None:
        """Remove the failure of a step that has succeeded since."""
        self.remove(case_id, f"{case_keys.FAILURE}{step}")

    def list_cases(self, *, limit: int = 50, cursor: str | None = None) -> tuple[list[Case], str | None]:
        """Newest cases first over all statuses; ``cursor`` continues after the last one shown."""
        found: list[tuple[str, Case]] = []
        for status in CaseStatus:
            condition = "GSI2PK = :p" + (" AND GSI2SK < :c" if cursor else "")
            values: Attributes = {":p": {"S": f"STATUS#{status.value}"}}
            if cursor:
                values[":c"] = {"S": cursor}
            with aws_errors(f"list cases in table {self.table}"):
                page = self._db.query(
                    TableName=self.table,
                    IndexName="GSI2",
                    KeyConditionExpression=condition,
                    ExpressionAttributeValues=values,
                    ScanIndexForward=False,
                    Limit=limit + 1,
                )
            found += [(i["GSI2SK"]["S"], Case.stored(from_item(i["data"]))) for i in page["Items"]]
        found.sort(key=lambda pair: pair[0], reverse=True)
        page_items = found[:limit]
        return [case for _, case in page_items], (page_items[-1][0] if len(found) > limit else None)

    def open_cases(self) -> Iterator[str]:
        """Ids of all open cases, oldest first. An index says so: what a case is now, its record says."""
        with aws_errors(f"list open cases in table {self.table}"):
            pages = self._db.get_paginator("query").paginate(
                TableName=self.table,
                IndexName="GSI2",
                KeyConditionExpression="GSI2PK = :p",
                ExpressionAttributeValues={":p": {"S": f"STATUS#{CaseStatus.OPEN.value}"}},
            )
            yield from (Case.stored(from_item(i["data"])).case_id for page in pages for i in page["Items"])

    def open_case_of(self, account_id: str, region: str, subject: str) -> str | None:
        """The id of the open case about an instance or an artifact; None when there is none."""
        holder = self._locks.holder_of(account_id, region, subject)
        return holder if holder and not self.case(holder).ended else None

    def contained_case(self, account_id: str, region: str, instance_id: str) -> Case | None:
        """The newest case of an instance that has a restore point: the one whose containment a release undoes."""
        with aws_errors(f"look up the cases of {instance_id} in table {self.table}"):
            pages = self._db.get_paginator("query").paginate(
                TableName=self.table,
                IndexName="GSI1",
                KeyConditionExpression="GSI1PK = :p",
                ExpressionAttributeValues={":p": {"S": f"{account_id}#{region}#{instance_id}"}},
                ScanIndexForward=False,
            )
            cases = [Case.stored(from_item(item["data"])) for page in pages for item in page["Items"]]
        return next((case for case in cases if self.has(case.case_id, case_keys.RESTORE_POINT)), None)
