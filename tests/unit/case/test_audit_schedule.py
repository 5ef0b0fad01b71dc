"""One run over all cases: who is audited, what is read of whom, and what the page says afterwards."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from forensics import case_keys
from forensics.case.audit_schedule import SUMMARY_OF, first_versions, schedule, summarize
from forensics.custody.audit_plan import AuditPlan, AuditState, AuditSummary, Coverage, day_of
from forensics.custody.audit_rules import AuditReport, Difference
from forensics.custody.hold_lift import mark
from tests.unit.builders import NOW, case
from tests.unit.custody.archive import ArchiveInMemory
from tests.unit.recorders import StoreInMemory

A, B = (f"fc-20261124-{name * 10}" for name in "ab")
CASES = [case(case_id=A), case(case_id=B)]


def settings(*, requests: int = 1000, gib: int = 1) -> Any:
    return SimpleNamespace(audit_requests=requests, audit_gib=gib, audit_every_days=90)


def run(store: StoreInMemory, archive: ArchiveInMemory, **limits: int) -> dict[str, tuple[str, ...]]:
    """What a run reads, by case."""
    ids = schedule(store, archive, CASES, settings=settings(**limits), run_id="run-1", now=NOW)
    plans = {i: store.get(i, case_keys.AUDIT_PLAN, AuditPlan) for i in ids}
    return {i: plan.marks for i, plan in plans.items() if plan and plan.run_id == "run-1"}


def test_new_objects_are_read_at_once_and_known_ones_when_their_time_has_come() -> None:
    store, archive = StoreInMemory(), ArchiveInMemory()
    new, fresh, old = (archive.put(f"cases/{A}/{name}", b"x") for name in ("new", "fresh", "old"))
    marks = {v.uri: mark(v) for v in archive.versions("")}
    today = day_of(NOW)
    store.put(A, case_keys.AUDIT_STATE, AuditState(read={marks[fresh]: today, marks[old]: today - 90}))
    assert run(store, archive) == {A: (marks[new], marks[old]), B: ()}


def test_only_the_first_version_of_a_key_is_the_evidence() -> None:
    archive = ArchiveInMemory()
    for body in (b"first", b"second"):
        archive.put(f"cases/{A}/x", body)
    assert [v.version_id for v in first_versions(archive.versions(""))] == ["0"]


def test_with_few_requests_the_case_that_waited_longest_comes_first() -> None:
    store = StoreInMemory()
    for name, days in ((A, 1), (B, 2)):
        report = AuditReport(
            case_id=name, at=NOW - timedelta(days=days), events=1, heads=1, objects=1, size_bytes=1, snapshots=0
        )
        store.put(name, case_keys.AUDIT, report)
    assert list(run(store, ArchiveInMemory(), requests=79)) == [B]
    assert list(run(store, ArchiveInMemory(), requests=80)) == [B, A]


def test_the_summary_has_the_budget_what_was_used_and_the_worst_cases_first() -> None:
    store = StoreInMemory()
    common = {"at": NOW, "events": 1, "heads": 1, "size_bytes": 9, "snapshots": 0}
    good = AuditReport(
        case_id=A,
        objects=4,
        run_id="run-1",
        read=3,
        read_bytes=7,
        requests=10,
        coverage=Coverage(objects=4, covered=4),
        **common,
    )
    bad = AuditReport(
        case_id=B, objects=2, run_id="an earlier run", read=2, requests=5, coverage=Coverage(objects=2, due=2, late=1),
        differences=(Difference(part="x", what="is gone"),), **common,
    )  # fmt: skip
    store.put(A, case_keys.AUDIT, good)
    store.put(B, case_keys.AUDIT, bad)
    never = case(case_id=f"fc-20261124-{'c' * 10}")
    made = summarize(store, [*CASES, never], settings=settings(), run_id="run-1", now=NOW)
    assert (made.cases, made.audited, made.requests, made.read, made.read_bytes, made.differences) == (
        3,
        1,
        10,
        3,
        7,
        1,
    )
    assert (made.budget.requests, made.budget.size_bytes) == (1000, 1024**3)
    assert [row.case_id for row in made.rows] == [B, A, never.case_id] and made.rows[2].at is None
    assert made.coverage.objects == 6 and made.share == 4 / 6
    assert store.get(SUMMARY_OF, case_keys.AUDIT_SUMMARY, AuditSummary) == made
