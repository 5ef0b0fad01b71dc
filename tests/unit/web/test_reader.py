"""The reader on a real case store (moto's DynamoDB)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from moto import mock_aws

from forensics.aws.case_store import CaseStore
from forensics.case.view import read_view
from forensics.errors import AwsError, CaseError
from forensics.models.case import Case, CaseView
from forensics.web.reader import StoreReader
from tests.unit.report import sample

TABLE = "cases"


@dataclass
class Gateways:
    """The case store without the evidence store."""

    store: CaseStore

    def list_cases(self, *, limit: int = 50, cursor: str | None = None) -> tuple[list[Case], str | None]:
        return self.store.list_cases(limit=limit, cursor=cursor)

    def view(self, case_id: str) -> CaseView | None:
        return read_view(self.store, None, case_id)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[CaseStore]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        client = boto3.client("dynamodb", region_name=sample.REGION)
        names = ["PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK"]
        client.create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
            KeySchema=[
                {"AttributeName": "PK", "KeyType": "HASH"},
                {"AttributeName": "SK", "KeyType": "RANGE"},
            ],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": f"GSI{n}",
                    "KeySchema": [
                        {"AttributeName": f"GSI{n}PK", "KeyType": "HASH"},
                        {"AttributeName": f"GSI{n}SK", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
                for n in (1, 2)
            ],
        )
        yield CaseStore(client, table=TABLE)


@pytest.fixture
def reader(store: CaseStore) -> StoreReader:
    return StoreReader(lambda: Gateways(store))


def _open(store: CaseStore, number: int, *, run_id: str | None = None) -> Case:
    case = sample.case(
        case_id=f"fc-20261124-{number:010x}",
        instance_id=f"i-{number:017x}",
        run_id=run_id,
        opened_at=sample.at(number),
        closed_at=None,
    )
    store.open_case(case, finding=sample.finding().model_copy(update={"key": f"finding-{number}"}))
    return case


def test_board_view_has_plan_containment_and_evidence(store: CaseStore, reader: StoreReader) -> None:
    case = _open(store, 1)
    assert reader.board_view(case).containment is None
    store.put(case.case_id, "PLAN", sample.plan())
    store.put(case.case_id, "CONTAINMENT", sample.containment())
    for item in sample.evidence():
        store.put(case.case_id, f"EVIDENCE#{item.evidence_id}", item)
    view = reader.board_view(case)
    assert view.plan == sample.plan()
    assert view.containment == sample.containment()
    assert {e.evidence_id for e in view.evidence} == {e.evidence_id for e in sample.evidence()}


def test_runs_lead_to_their_cases(store: CaseStore, reader: StoreReader) -> None:
    manual = _open(store, 2, run_id="manual__2026-11-24T03:12:00+00:00")
    _open(store, 3)
    assert reader.case_of_run("manual__2026-11-24T03:12:00+00:00") == manual.case_id
    assert reader.case_of_run(f"{sample.CASE_ID}__again") == sample.CASE_ID
    assert reader.case_of_run("scheduled__2026") is None


def test_newest_first_and_pages(store: CaseStore, reader: StoreReader) -> None:
    made = [_open(store, n).case_id for n in range(1, 6)]
    seen: list[str] = []
    cursor = None
    while True:
        cases, cursor = reader.list_cases(limit=2, cursor=cursor)
        seen += [c.case_id for c in cases]
        if cursor is None:
            break
    assert seen == made[::-1]


def test_unknown_case_is_none(reader: StoreReader) -> None:
    assert reader.case_view(sample.CASE_ID) is None


def test_a_record_of_another_version_is_named(store: CaseStore, reader: StoreReader) -> None:
    case = _open(store, 4)
    store.put_once(case.case_id, "PLAN", {"surprise": 1})
    for read in (lambda: reader.case_view(case.case_id), lambda: reader.board_view(case)):
        with pytest.raises(CaseError, match=r"cannot read: .*memory: Field required"):
            read()


def test_a_missing_table_is_our_error(store: CaseStore) -> None:
    lost = StoreReader(lambda: Gateways(CaseStore(store._db, table="nowhere")))
    with pytest.raises(AwsError, match="nowhere"):
        lost.list_cases(limit=1, cursor=None)
