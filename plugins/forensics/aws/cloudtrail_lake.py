"""CloudTrail Lake: event data stores of an account, queries in SQL on one of them, and their results page by page.

Limits (AWS CloudTrail user guide, *Quotas*, *View query results*; API reference, *StartQuery*): ten queries at once, a statement of 10,000
characters, an hour for each query (what it found until then can be had), results for seven days, 1,000 rows a page. A query bills the
bytes that it scans.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from forensics.aws.error_map import aws_errors
from forensics.aws.session import AwsSession
from forensics.errors import AwsError

if TYPE_CHECKING:
    from mypy_boto3_cloudtrail import CloudTrailClient

# A record has up to 256 KB (CloudTrail user guide, *Quotas*): a page of so many stays small enough to be passed on.
PAGE_ROWS = 200
# Members of a result's rows are maps of one column each; this is the one that has the record as CloudTrail wrote it.
COLUMN = "eventjson"
ENDED = frozenset({"FINISHED", "FAILED", "CANCELLED", "TIMED_OUT"})
_TAKES_IN = frozenset({"ENABLED", "STARTING_INGESTION", "CREATED"})


@dataclass(frozen=True)
class DataStore:
    """An event data store. ``categories`` of events are CloudTrail's (Management, Data, …); others hold no calls."""

    arn: str
    status: str
    everywhere: bool
    categories: frozenset[str]
    created: datetime | None
    retention_days: int

    @property
    def problem(self) -> str:
        """Why it cannot say what was called up to now; empty where it can."""
        if self.status not in _TAKES_IN:
            return (
                f"event data store {self.arn} takes no events in: it is {self.status or 'in no state that AWS names'}"
            )
        if not self.categories & {"Management", "Data"}:
            return f"event data store {self.arn} holds no calls but {', '.join(sorted(self.categories)) or 'nothing that AWS names'}"
        return ""


@dataclass(frozen=True)
class LakeState:
    """How a query stands: ``scanned`` are bytes, ``message`` is what AWS says of a failure."""

    query_id: str
    status: str
    scanned: int
    message: str

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.status in ENDED


@dataclass(frozen=True)
class LakePage:
    """Records of a page of results, each as CloudTrail wrote it; ``total`` are the rows of the whole result."""

    records: tuple[str, ...]
    total: int


class LakeGateway:
    """CloudTrail Lake in one Region, as a role of one account, which may be let into stores of others by their policies."""

    def __init__(self, client: CloudTrailClient, *, account_id: str, region: str) -> None:
        self._cloudtrail = client
        self.account_id = account_id
        self.region = region

    @classmethod
    def of(cls, session: AwsSession) -> Self:
        """The gateway of a session's account and Region."""
        return cls(session.cloudtrail, account_id=session.account_id, region=session.region)

    @property
    def _where(self) -> str:
        return f"in account {self.account_id}, {self.region}"

    def stores(self) -> list[str]:
        """ARNs of the account's event data stores in this Region, fifty at most (ListEventDataStores)."""
        with aws_errors(f"list the event data stores {self._where}"):
            found = self._cloudtrail.list_event_data_stores(MaxResults=50)["EventDataStores"]
        return [s["EventDataStoreArn"] for s in found if "EventDataStoreArn" in s]

    def store(self, arn: str) -> DataStore:
        """What an event data store takes in (GetEventDataStore)."""
        with aws_errors(f"describe event data store {arn} {self._where}"):
            found = self._cloudtrail.get_event_data_store(EventDataStore=arn)
        wanted = {
            value
            for selector in found.get("AdvancedEventSelectors", [])
            for field in selector["FieldSelectors"]
            if field["Field"] == "eventCategory"
            for value in field.get("Equals", [])
        }
        return DataStore(
            arn=found.get("EventDataStoreArn", arn),
            status=found.get("Status", ""),
            everywhere=found.get("MultiRegionEnabled", False),
            categories=frozenset(wanted),
            created=found.get("CreatedTimestamp"),
            retention_days=found.get("RetentionPeriod", 0),
        )

    def start(self, statement: str, *, store: str) -> str:
        """Start a query on a store; returns its id. Raises :class:`forensics.errors.ThrottledError` while ten others run."""
        with aws_errors(f"start a query on event data store {store} {self._where}"):
            return self._cloudtrail.start_query(QueryStatement=statement, **self._owner(store))["QueryId"]

    def state(self, query_id: str, *, store: str) -> LakeState:
        """How a query stands (DescribeQuery)."""
        with aws_errors(f"ask for the state of query {query_id} on event data store {store} {self._where}"):
            found = self._cloudtrail.describe_query(QueryId=query_id, **self._owner(store))
        scanned = found.get("QueryStatistics", {}).get("BytesScanned", 0)
        return LakeState(query_id, found.get("QueryStatus", ""), scanned, found.get("ErrorMessage", ""))

    def cancel(self, query_id: str, *, store: str) -> None:
        """End a query that runs (CancelQuery); one that has ended stays as it is."""
        try:
            with aws_errors(f"cancel query {query_id} on event data store {store} {self._where}"):
                self._cloudtrail.cancel_query(QueryId=query_id, EventDataStore=store, **self._owner(store))
        except AwsError:
            if not self.state(query_id, store=store).ended:
                raise

    def pages(self, query_id: str, *, store: str) -> Iterator[LakePage]:
        """The results of a query that has ended (GetQueryResults)."""
        token = ""
        while True:
            more: dict[str, Any] = {"NextToken": token} if token else {}
            with aws_errors(f"read the results of query {query_id} on event data store {store} {self._where}"):
                answer = self._cloudtrail.get_query_results(
                    QueryId=query_id, MaxQueryResults=PAGE_ROWS, **more, **self._owner(store)
                )
            total = answer.get("QueryStatistics", {}).get("TotalResultsCount", 0)
            yield LakePage(tuple(_records(answer.get("QueryResultRows", []))), total)
            token = answer.get("NextToken", "")
            if not token:
                return

    def _owner(self, store: str) -> dict[str, str]:
        """Names the account of a store of another one."""
        owner = store.split(":")[4] if store.count(":") >= 5 else self.account_id
        return {} if owner == self.account_id else {"EventDataStoreOwnerAccountId": owner}


def _records(rows: list[Any]) -> Iterator[str]:
    for row in rows:
        for column in row:
            for name, value in column.items():
                if name.lower() == COLUMN and value:
                    yield value
