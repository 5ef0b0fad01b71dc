"""What the case store costs as cases pile up: requests of each thing that reads it, with 100 and with 10,000 cases.

``python -m lab.scenarios.scale --cases 100,10000`` fills a table of moto in this process with so many cases (20 of them open, one with 500 entries of
its timeline) and runs what the product runs: the board, its pages, the watchdog's list, a page of one case, the release's look-up. It fails when
something scans the table, or when work that should not depend on the number of ended cases does.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from moto import mock_aws

from forensics import case_keys
from forensics.aws.attributes import to_item
from forensics.aws.case_items import indexes, item_key
from forensics.aws.case_store import CaseStore
from forensics.models.case import Case, CaseStatus, TimelineKind

TABLE, REGION, MEMBER = "forensics-cases", "eu-central-1", "333344445555"
OPEN, ENTRIES = 20, 500
NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
# What may grow with all cases: the board's own reading of one line each, which is made once and kept.
GROWS = frozenset({"board, first reading", "board, again"})


@dataclass(frozen=True)
class Cost:
    """One thing that reads the store."""

    what: str
    cases: int
    requests: int
    scans: int
    found: int


def case(number: int) -> Case:
    """A case; the newest ones are open."""
    ended = number >= OPEN
    opened = NOW - timedelta(minutes=number)
    return Case(
        case_id=f"fc-{opened:%Y%m%d}-{number:010x}",
        account_id=MEMBER,
        region=REGION,
        instance_id=f"i-{number:017x}",
        status=CaseStatus.CLOSED if ended else CaseStatus.OPEN,
        opened_at=opened,
        closed_at=opened + timedelta(minutes=5) if ended else None,
        title="a finding",
        severity="HIGH",
        source="guardduty",
        finding_key=f"{number:032x}",
    )


def fill(client: Any, count: int) -> CaseStore:
    """A table with so many cases."""
    names = ("PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK")
    keys = [
        [{"AttributeName": f"{p}PK", "KeyType": "HASH"}, {"AttributeName": f"{p}SK", "KeyType": "RANGE"}]
        for p in ("", "GSI1", "GSI2")
    ]
    client.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
        KeySchema=keys[0],
        GlobalSecondaryIndexes=[
            {"IndexName": n, "KeySchema": k, "Projection": {"ProjectionType": "ALL"}}
            for n, k in zip(("GSI1", "GSI2"), keys[1:], strict=True)
        ],
    )
    store = CaseStore(client, table=TABLE)
    for number in range(count):
        made = case(number)
        item = {
            **item_key(made.case_id, case_keys.CASE),
            **indexes(made),
            "data": to_item(made.to_store(by_alias=False)),
        }
        client.put_item(TableName=TABLE, Item=item)
    for entry in range(ENTRIES):
        store.note(case(OPEN).case_id, f"entry {entry}", kind=TimelineKind.CASE, source="test", at=NOW)
    return store


def measure(count: int) -> list[Cost]:
    """Each thing once, on a table with so many cases."""
    sent: list[str] = []
    client = boto3.session.Session(aws_access_key_id="none", aws_secret_access_key="none", region_name=REGION).client(
        "dynamodb"
    )
    store = fill(client, count)
    client.meta.events.register("before-call.dynamodb.*", lambda model, **_: sent.append(model.name))
    known: dict[str, Any] = {}
    some = case(OPEN)
    what: dict[str, Callable[[], int]] = {
        "board, first reading": lambda: len(list(store.lines.read(known))),
        "board, again": lambda: len(list(store.lines.read(known))),
        "a page of 50 cases": lambda: len(store.list_cases(limit=50)[0]),
        "watchdog: the open cases": lambda: len(list(store.open_cases())),
        "one case with 500 entries": lambda: len(list(store.items(some.case_id))),
        "the contained case of an instance": lambda: int(
            store.contained_case(MEMBER, REGION, some.instance_id) is not None
        ),
    }
    costs = []
    for name, call in what.items():
        sent.clear()
        found = call()
        costs.append(Cost(name, count, len(sent), sent.count("Scan"), found))
    return costs


def problems(small: Sequence[Cost], large: Sequence[Cost]) -> list[str]:
    """What scans, and what grows that should not."""
    wrong = [f"{cost.what} scans the table" for cost in [*small, *large] if cost.scans]
    for before, after in zip(small, large, strict=True):
        if after.what not in GROWS and after.requests > before.requests:
            wrong.append(
                f"{after.what}: {before.requests} requests with {before.cases} cases, {after.requests} with {after.cases}"
            )
    return wrong


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m lab.scenarios.scale", description=__doc__)
    parser.add_argument("--cases", default="100,10000", help="two numbers of cases, the smaller one first")
    given = parser.parse_args(arguments)
    logging.disable(logging.WARNING)
    results = []
    for count in (int(n) for n in given.cases.split(",")):
        with mock_aws():
            results.append(measure(count))
        for cost in results[-1]:
            print(json.dumps(asdict(cost)), flush=True)
    wrong = problems(results[0], results[-1])
    for line in wrong:
        print(f"WRONG: {line}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
