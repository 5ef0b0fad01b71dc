"""CloudTrail Lake: event data stores, and queries on what the accounts' calls have left in them.

moto has none of it. The shapes are those of botocore's model; states, limits and errors those of the API reference (*StartQuery*,
*DescribeQuery*, *GetQueryResults*, *CancelQuery*, *GetEventDataStore*) and the user guide's *CloudTrail Lake queries*. A statement is
carried out as it stands by DuckDB, on a table with columns of *Supported SQL schemas for event data stores*; Trino's functions that the
product uses are macros. ``POST /_lab/lake`` says how queries end from then on.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.exceptions import JsonRESTError

from lab.emulator.patches import cloudtrail
from lab.emulator.patches.patching import add
from lab.evidence.trail_records import Json

_AT_ONCE = 10
_PAGE = 1000
_FROM = re.compile(r"\bFROM\s+([a-f0-9-]{36})\b", re.IGNORECASE)
_SCHEMA = "eventTime TIMESTAMP, eventID VARCHAR, eventName VARCHAR, eventSource VARCHAR, awsRegion VARCHAR, recipientAccountId VARCHAR, eventJson VARCHAR"
_CALLS: list[dict[str, Any]] = [
    {"Name": "calls", "FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}
]


@dataclass
class _Store:
    arn: str
    name: str
    account: str
    region: str
    selectors: list[dict[str, Any]]
    everywhere: bool
    organization: bool
    created: float
    status: str = "ENABLED"
    policy: str = ""

    @property
    def categories(self) -> set[str]:
        fields = [f for s in self.selectors for f in s["FieldSelectors"] if f["Field"] == "eventCategory"]
        return {value for f in fields for value in f.get("Equals", [])}


@dataclass
class _Query:
    id: str
    store: _Store
    account: str
    statement: str
    rows: list[list[dict[str, str]]]
    scanned: int
    looks: int
    ends: str
    message: str = ""
    status: str = "QUEUED"
    seen: int = 0

    def look(self) -> None:
        """One look at it: it runs, and ends after the looks that it takes."""
        if self.status in {"QUEUED", "RUNNING"}:
            self.seen += 1
            self.status = "RUNNING" if self.seen < self.looks else self.ends


@dataclass
class _Lake:
    stores: dict[str, _Store] = field(default_factory=dict)
    queries: dict[str, _Query] = field(default_factory=dict)
    looks: int = 2
    ends: str = "FINISHED"
    message: str = ""


_lake = _Lake()


def tell(given: dict[str, Any]) -> dict[str, Any]:
    """How queries end from now on (``ends``, ``message``) and after how many looks; the status of a store (``store``, ``status``)."""
    _lake.looks, _lake.ends = int(given.get("looks", 2)), str(given.get("ends", "FINISHED"))
    _lake.message = str(given.get("message", ""))
    if "store" in given:
        _lake.stores[given["store"]].status = str(given["status"])
    return {
        "queries": [q.statement for q in _lake.queries.values()],
        "states": [q.status for q in _lake.queries.values()],
    }


def store_of(query_id: str) -> str:
    """The store's ARN that a query runs on; empty for one that nobody started."""
    found = _lake.queries.get(query_id)
    return found.store.arn if found else ""


def store_in(statement: str) -> str:
    """The ARN of the store that a statement names; empty where there is none of that id."""
    named = _FROM.search(statement)
    arns = [arn for arn in _lake.stores if named and arn.endswith(f"/{named[1]}")]
    return arns[0] if arns else ""


# ---------------------------------------------------------------------- stores
def _create(self: Any) -> str:
    arn = f"arn:aws:cloudtrail:{self.region}:{self.current_account}:eventdatastore/{uuid.uuid4()}"
    made = _Store(
        arn, str(self._get_param("Name")), self.current_account, self.region, self._get_param("AdvancedEventSelectors") or _CALLS,
        everywhere=self._get_param("MultiRegionEnabled") is not False, organization=bool(self._get_param("OrganizationEnabled")),
        created=datetime.now(UTC).timestamp(),
    )  # fmt: skip
    _lake.stores[arn] = made
    return json.dumps(_facts(made))


def _facts(store: _Store) -> dict[str, Any]:
    return {
        "EventDataStoreArn": store.arn, "Name": store.name, "Status": store.status, "AdvancedEventSelectors": store.selectors,
        "MultiRegionEnabled": store.everywhere, "OrganizationEnabled": store.organization, "RetentionPeriod": 366,
        "TerminationProtectionEnabled": True, "CreatedTimestamp": store.created, "UpdatedTimestamp": store.created,
    }  # fmt: skip


def _list(self: Any) -> str:
    """Only ARN and name: the other members are no longer answered (CloudTrail API reference, *ListEventDataStores*)."""
    here = [s for s in _lake.stores.values() if (s.account, s.region) == (self.current_account, self.region)]
    return json.dumps({"EventDataStores": [{"EventDataStoreArn": s.arn, "Name": s.name} for s in here]})


def _get(self: Any) -> str:
    return json.dumps(_facts(_store(self, str(self._get_param("EventDataStore")))))


def _put_resource_policy(self: Any) -> str:
    store = _store(self, str(self._get_param("ResourceArn")))
    store.policy = str(self._get_param("ResourcePolicy"))
    return json.dumps({"ResourceArn": store.arn, "ResourcePolicy": store.policy})


def _store(self: Any, name: str) -> _Store:
    found = next((s for s in _lake.stores.values() if name in (s.arn, s.arn.rpartition("/")[2])), None)
    if found is None or found.region != self.region:
        raise JsonRESTError("EventDataStoreNotFoundException", f"The event data store {name} was not found.")
    # of another account only with a policy of the store's own, which the lab takes for one that lets in whoever asks
    if found.account != self.current_account and not found.policy:
        raise JsonRESTError("AccessDeniedException", "because no resource-based policy allows the action")
    return found


# ---------------------------------------------------------------------- queries
def _start(self: Any) -> str:
    statement = str(self._get_param("QueryStatement") or "")
    named = _FROM.search(statement)
    if len(statement) > 10_000 or not re.match(r"\s*SELECT\b", statement, re.IGNORECASE) or not named:
        raise JsonRESTError("InvalidQueryStatementException", "The query has validation errors.")
    store = _store(self, named[1])
    owner = self._get_param("EventDataStoreOwnerAccountId") or self.current_account
    if owner != store.account:
        raise JsonRESTError("EventDataStoreNotFoundException", "The event data store was not found.")
    if store.status == "PENDING_DELETION":
        raise JsonRESTError("InactiveEventDataStoreException", "The event data store is inactive.")
    if sum(q.status in {"QUEUED", "RUNNING"} for q in _lake.queries.values()) >= _AT_ONCE:
        raise JsonRESTError("MaxConcurrentQueriesException", "You are already running the maximum number of queries.")
    events = _events(store)
    rows = _rows(statement.replace(named[1], "events"), events)
    made = _Query(
        str(uuid.uuid4()), store, self.current_account, statement, rows, sum(len(json.dumps(e)) for e in events), _lake.looks, _lake.ends,
        _lake.message,
    )  # fmt: skip
    _lake.queries[made.id] = made
    return json.dumps({"QueryId": made.id, "EventDataStoreOwnerAccountId": store.account})


def _events(store: _Store) -> list[Json]:
    calls = cloudtrail.history(None if store.organization else store.account)
    return [
        e
        for e in calls
        if (store.everywhere or e["awsRegion"] == store.region)
        and ("Management" if e.get("managementEvent", True) else "Data") in store.categories
    ]


def _rows(statement: str, events: list[Json]) -> list[list[dict[str, str]]]:
    import duckdb

    with duckdb.connect(":memory:") as database:
        database.execute(f"CREATE TABLE events({_SCHEMA})")
        database.execute("CREATE MACRO regexp_like(text, pattern) AS regexp_matches(text, pattern)")
        filled = [
            [e["eventTime"].rstrip("Z"), e["eventID"], e["eventName"], e["eventSource"], e["awsRegion"], e["recipientAccountId"], json.dumps(e)]
            for e in events
        ]  # fmt: skip
        if filled:
            database.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", filled)
        try:
            found = database.execute(statement)
        except duckdb.Error as error:
            raise JsonRESTError("InvalidQueryStatementException", str(error)[:500]) from error
        columns = [c[0] for c in found.description or []]
        return [[{n: str(v)} for n, v in zip(columns, row, strict=True)] for row in found.fetchall()]


def _query(self: Any) -> _Query:
    found = _lake.queries.get(str(self._get_param("QueryId")))
    if found is None or found.account != self.current_account:
        raise JsonRESTError("QueryIdNotFoundException", "The query ID does not exist or does not map to a query.")
    return found


def _describe(self: Any) -> str:
    query = _query(self)
    query.look()
    ended = query.status not in {"QUEUED", "RUNNING"}
    said = {"ErrorMessage": query.message} if query.status == "FAILED" else {}
    return json.dumps({
        "QueryId": query.id, "QueryString": query.statement, "QueryStatus": query.status, "EventDataStoreOwnerAccountId": query.store.account,
        "QueryStatistics": {
            "EventsMatched": len(query.rows) if ended else 0, "EventsScanned": len(query.rows), "BytesScanned": query.scanned,
            "ExecutionTimeInMillis": 1000, "CreationTime": query.store.created,
        }, **said,
    })  # fmt: skip


def _results(self: Any) -> str:
    query = _query(self)
    if query.status not in {"FINISHED", "TIMED_OUT"}:
        return json.dumps({"QueryStatus": query.status, "QueryResultRows": []})
    # of a query that ran out of time there is what it had found until then
    rows = query.rows if query.status == "FINISHED" else query.rows[: len(query.rows) // 2]
    first, size = int(self._get_param("NextToken") or 0), int(self._get_param("MaxQueryResults") or _PAGE)
    more = {"NextToken": f"{first + size:04d}"} if len(rows) > first + size else {}
    count = {
        "ResultsCount": len(rows[first : first + size]),
        "TotalResultsCount": len(rows),
        "BytesScanned": query.scanned,
    }
    page = rows[first : first + size]
    return json.dumps({"QueryStatus": query.status, "QueryStatistics": count, "QueryResultRows": page, **more})


def _cancel(self: Any) -> str:
    query = _query(self)
    if query.status not in {"QUEUED", "RUNNING"}:
        raise JsonRESTError("InactiveQueryException", "The specified query cannot be canceled because it has ended.")
    query.status = "CANCELLED"
    return json.dumps(
        {"QueryId": query.id, "QueryStatus": query.status, "EventDataStoreOwnerAccountId": query.store.account}
    )


def apply() -> None:
    """Install the patch."""
    for name, answer in (
        ("create_event_data_store", _create),
        ("list_event_data_stores", _list),
        ("get_event_data_store", _get),
        ("put_resource_policy", _put_resource_policy),
        ("start_query", _start),
        ("describe_query", _describe),
        ("get_query_results", _results),
        ("cancel_query", _cancel),
    ):
        add(CloudTrailResponse, name, answer)
