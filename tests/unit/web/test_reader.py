"""The reader on a real case store (moto's DynamoDB)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3
import pytest
from fastapi.testclient import TestClient
from moto import mock_aws

from forensics.aws.case_store import CaseStore
from forensics.case.board_line import keep_line
from forensics.case.view import ResultsReader, read_view
from forensics.errors import AwsError, CaseError
from forensics.models.board import Need
from forensics.models.case import Case, CaseStatus, CaseView, Phase
from forensics.models.containment import ReleaseResult
from forensics.models.evidence import Outcome
from forensics.web.app import create_app
from forensics.web.reader import StoreReader
from tests.unit.builders import NOW
from tests.unit.report import sample

TABLE = "cases"


@dataclass
class Gateways:
    """The case store without the evidence store."""

    store: CaseStore

    def view(self, case_id: str, *, read: ResultsReader) -> CaseView | None:
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


def test_a_release_is_read_wherever_the_state_is_said(store: CaseStore, reader: StoreReader) -> None:
    """Contained, released, contained again: the board, its API and the case's page say the same."""
    case = _open(store, 1)
    store.put(case.case_id, "PLAN", sample.plan())
    closed = sample.containment()
    assert closed.contained_at is not None
    client = TestClient(create_app(reader, authorize=lambda: None))
    told = []
    for sk, value in (
        ("CONTAINMENT", closed),
        ("RELEASE", ReleaseResult(outcome=Outcome.DONE, released_at=closed.contained_at + timedelta(hours=1))),
        ("CONTAINMENT", closed.model_copy(update={"contained_at": closed.contained_at + timedelta(hours=2)})),
    ):
        store.put(case.case_id, sk, value)
        (row,) = client.get("/api/cases").json()["cases"]
        page = client.get(f"/case/{case.case_id}").text.split("Contained?</b>")[1].split("</span>")[0]
        document = client.get(f"/api/cases/{case.case_id}").json()["summary"]
        board = client.get("/").text.split('data-label="Contained?"')[1].split("</td>")[0]
        assert row["contained"] == document["contained"] and row["contained"] in page and row["contained"] in board
        told.append(row["contained"])
    assert told == ["new flows blocked", "released", "new flows blocked"]


def test_runs_lead_to_their_cases(store: CaseStore, reader: StoreReader) -> None:
    manual = _open(store, 2, run_id="manual__2026-11-24T03:12:00+00:00")
    _open(store, 3)
    assert reader.case_of_run("manual__2026-11-24T03:12:00+00:00") == manual.case_id
    assert reader.case_of_run(f"{sample.CASE_ID}__again") == sample.CASE_ID
    assert reader.case_of_run("scheduled__2026") is None


def test_every_case_is_read_by_the_index_with_its_line(store: CaseStore, reader: StoreReader) -> None:
    made = [_open(store, n).case_id for n in range(1, 6)]
    store.end_case(made[0], status=CaseStatus.CLOSED_WITH_GAPS)
    store.put(made[1], "PLAN", sample.plan())
    store.put(made[1], "CONTAINMENT", sample.containment())
    store.put_once(made[1], "DRIFT", {"items": [{"key": "x"}], "looked_at": "2026-11-24T08:00:00Z"})
    keep_line(store, made[1])
    found = {entry.case.case_id: entry for entry in reader.cases().entries}
    assert set(found) == set(made)
    assert found[made[0]].case.status is CaseStatus.CLOSED_WITH_GAPS and found[made[0]].line is None
    line = found[made[1]].line
    assert line is not None and (line.contained, line.drifted) == ("new flows blocked", True)
    assert found[made[1]].needs(NOW)[0] is Need.DRIFT


def test_what_has_not_changed_is_not_parsed_again(store: CaseStore) -> None:
    first, second = (_open(store, n).case_id for n in (1, 2))
    known: dict[str, Any] = {}
    before = {e.case.case_id: e for e in store.lines.read(known)}
    store.update_case(second, phase=Phase.TRIAGE)
    after = {e.case.case_id: e for e in store.lines.read(known)}
    assert after[first] is before[first] and after[second].case.phase is Phase.TRIAGE


def test_unknown_case_is_none(reader: StoreReader) -> None:
    assert reader.case_view(sample.CASE_ID) is None


def test_a_record_of_another_version_is_named(store: CaseStore, reader: StoreReader) -> None:
    case = _open(store, 4)
    store.put_once(case.case_id, "PLAN", {"surprise": 1})
    for read in (lambda: reader.case_view(case.case_id), lambda: reader.board_view(case)):
        with pytest.raises(CaseError, match=r"cannot be read by this release: memory: Field required"):
            read()


def test_a_missing_table_is_our_error(store: CaseStore) -> None:
    lost = StoreReader(lambda: Gateways(CaseStore(store._db, table="nowhere")))
    with pytest.raises(AwsError, match="nowhere"):
        lost.cases()
