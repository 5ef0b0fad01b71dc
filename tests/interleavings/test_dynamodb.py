"""The table in memory answers as moto's DynamoDB does, for everything that the case store asks."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import boto3
import pytest
import time_machine
from moto import mock_aws

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.errors import ForensicsError
from forensics.intake.new_case import case_from
from forensics.models.case import CaseStatus, Milestone, TimelineKind
from forensics.models.finding import Finding, Severity
from tests.interleavings.dynamodb import INDEXES, DynamoInMemory
from tests.unit.builders import NOW, REGION, finding


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """moto's DynamoDB with the table's keys and indexes."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        names = ["PK", "SK", *(n for pair in INDEXES.values() for n in pair)]
        client.create_table(
            TableName="cases", BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
            KeySchema=[{"AttributeName": "PK", "KeyType": "HASH"}, {"AttributeName": "SK", "KeyType": "RANGE"}],
            GlobalSecondaryIndexes=[
                {"IndexName": index, "Projection": {"ProjectionType": "ALL"},
                 "KeySchema": [{"AttributeName": p, "KeyType": "HASH"}, {"AttributeName": s, "KeyType": "RANGE"}]}
                for index, (p, s) in INDEXES.items()
            ],
        )  # fmt: skip
        yield client


def findings(rng: random.Random) -> Finding:
    number, severity = rng.randint(0, 3), rng.choice(list(Severity))
    return finding(key=f"{number:016x}", severity=severity, instance_id=f"i-{rng.randint(0, 1):017x}")


def ask(store: CaseStore, rng: random.Random) -> object:
    """One random question or change; an error's kind counts as its answer."""
    item = findings(rng)
    case = case_from(item, received_at=NOW + timedelta(seconds=rng.randint(0, 3)))
    known = rng.choice([case.case_id, "fc-20260101-0000000000"])
    choices = (
        lambda: store.open_case(case, finding=item),
        lambda: store.add_finding(known, item),
        lambda: store.raise_severity(known, item.severity),
        lambda: store.begin_case(known, run_id=f"run-{rng.randint(0, 2)}").model_dump(),
        lambda: store.end_case(known, status=CaseStatus.CLOSED, closed_at=NOW).model_dump(),
        lambda: store.update_case(known, run_id="x").model_dump(),
        lambda: store.milestone(known, Milestone.OPENED, NOW),
        lambda: store.note(known, f"n{rng.randint(0, 2)}", kind=TimelineKind.CASE, source="s", at=NOW),
        lambda: store.lease(known, "l", holder=str(rng.randint(0, 1)), seconds=10, now=NOW + timedelta(seconds=rng.randint(0, 30))),
        lambda: store.release_lease(known, "l", holder=str(rng.randint(0, 1))),
        lambda: sorted(store.items(known), key=str),
        lambda: list(store.items(known, case_keys.FINDING)),
        lambda: store.several(known, [case_keys.CASE, "NONE", f"{case_keys.MILESTONE}{Milestone.OPENED.value}"]),
        lambda: list(store.open_cases()),
        lambda: [c.model_dump() for c in store.list_cases(limit=2)[0]],
        lambda: str(store.contained_case(item.account_id, item.region, item.instance_id)),
        lambda: store.case_of_finding(item),
    )  # fmt: skip
    try:
        return rng.choice(choices)()
    except ForensicsError as error:
        return type(error).__name__


@pytest.mark.parametrize("seed", range(4))
def test_every_answer_and_what_is_stored_in_the_end_are_the_same(seed: int, real: Any) -> None:
    memory = DynamoInMemory()
    stores = CaseStore(real, table="cases"), CaseStore(memory, table="cases")  # type: ignore[arg-type]
    dice = random.Random(seed), random.Random(seed)
    with time_machine.travel(NOW, tick=False):
        for number in range(150):
            one, other = (ask(store, rng) for store, rng in zip(stores, dice, strict=True))
            assert one == other, f"request {number}"
    items = sorted(real.scan(TableName="cases")["Items"], key=lambda i: (i["PK"]["S"], i["SK"]["S"]))
    assert items == memory.items()
