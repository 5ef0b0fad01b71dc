"""The page on the audit: what was read, what is due, how far the evidence is covered."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from forensics.custody.audit_plan import AuditedCase, AuditSummary, Budget, Coverage
from forensics.web.app import create_app
from forensics.web.audit import StoreAuditReader, size
from tests.unit.recorders import StoreInMemory
from tests.unit.web.test_app import GOOD, Shelf, authorize

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
CASE = "fc-20261124-aaaaaaaaaa"


class Reader:
    """The newest summary."""

    def __init__(self, summary: AuditSummary | None) -> None:
        self.summary = summary

    def audit(self) -> AuditSummary | None:
        return self.summary


def summary(*, late: int = 0, differences: int = 0) -> AuditSummary:
    seen = Coverage(objects=1000, covered=900, due=100, late=late, oldest_days=97, due_bytes=5 * 1024**4)
    return AuditSummary(
        at=NOW, run_id="r", budget=Budget(requests=20_000, size_bytes=200 * 1024**3), every_days=90, cases=2, audited=2,
        requests=1234, read=321, read_bytes=1024**3, differences=differences, coverage=seen,
        rows=(AuditedCase(case_id=CASE, at=NOW, coverage=seen, differences=differences),),
    )  # fmt: skip


def client(found: AuditSummary | None) -> TestClient:
    app = create_app(Shelf(), authorize=authorize, airflow_path="/airflow", audit=Reader(found))
    return TestClient(app, headers=GOOD, raise_server_exceptions=False)


def test_the_page_shows_coverage_budget_and_cases() -> None:
    page = client(summary()).get("/audit").text
    for words in ("900 of 1000 objects (90.0 %)", "100 are due (5.0 TiB)", "longest wait is 97 days", "321 objects, 1.0 GiB", "200.0 GiB",
                  "1234", "20000", CASE, "no difference"):  # fmt: skip
        assert words in page, words
    assert "budget is too small" not in page


def test_the_page_says_when_the_budget_is_too_small_and_when_something_differs() -> None:
    page = client(summary(late=3, differences=2)).get("/audit").text
    assert "the budget is too small" in page and "audit_gib" in page and "2 differences" in page


def test_before_the_first_run_the_page_says_what_to_do() -> None:
    assert "start the DAG <code>evidence_audit</code>" in client(None).get("/audit").text
    assert client(None).get("/api/audit").json() == {"summary": None}


def test_the_json_has_the_share_and_the_board_a_link() -> None:
    found = client(summary()).get("/api/audit").json()["summary"]
    assert found["share"] == 0.9 and found["coverage"]["due"] == 100
    assert 'audit">Audit: what of the evidence was read again' in client(summary()).get("/").text


def test_nobody_reads_it_without_signing_in() -> None:
    app = create_app(Shelf(), authorize=authorize, airflow_path="/airflow", audit=Reader(None))
    assert TestClient(app, raise_server_exceptions=False).get("/audit").status_code in {401, 403}


def test_the_store_has_the_newest_summary() -> None:
    store = StoreInMemory()
    reader = StoreAuditReader(lambda: store)
    assert reader.audit() is None
    store.put("audit", "AUDITSUMMARY", summary())
    assert reader.audit() == summary()


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (3 * 1024**4, "3.0 TiB")]
)
def test_sizes_are_for_people(number: int, words: str) -> None:
    assert size(number) == words
