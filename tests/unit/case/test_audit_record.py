"""What becomes of an audit's result: recorded, and an alarm when anything differs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from forensics import case_keys
from forensics.case.audit_record import list_cases, record_audit, remember
from forensics.custody.audit_plan import AuditState, day_of
from forensics.custody.audit_rules import AuditReport, Difference
from forensics.custody.hold_lift import mark
from forensics.errors import AuditError, CaseError
from forensics.models.case import Case
from forensics.models.custody import CustodyAction
from tests.unit.builders import CASE_ID, NOW, case
from tests.unit.custody.archive import ArchiveInMemory
from tests.unit.recorders import FakeRecorder, StoreInMemory


def report(*what: str) -> AuditReport:
    """An audit with these differences."""
    differences = tuple(Difference(part="s3://e/x", what=w) for w in what)
    return AuditReport(
        case_id=CASE_ID, at=NOW, events=1, heads=1, objects=1, size_bytes=1, snapshots=0, differences=differences
    )


def test_an_audit_without_differences_is_recorded_quietly() -> None:
    recorder = FakeRecorder()
    record_audit(recorder, report())
    assert recorder.get(case_keys.AUDIT, AuditReport) == report()
    assert recorder.notes == [] and recorder.ledger.events(CASE_ID) == []


@pytest.mark.parametrize(("number", "words"), [(1, "found 1 difference:"), (2, "found 2 differences:")])
def test_differences_are_an_alarm_in_case_ledger_and_error(number: int, words: str) -> None:
    recorder = FakeRecorder()
    with pytest.raises(AuditError, match=words) as caught:
        record_audit(recorder, report(*(f"is gone {n}" for n in range(number))))
    assert not caught.value.retryable and "CloudTrail" in caught.value.next_action
    detail = recorder.ledger.last(CustodyAction.AUDIT_FAILED).detail
    assert detail["differences"] == [f"s3://e/x: is gone {n}" for n in range(number)]
    assert recorder.notes[0].startswith("AUDIT FAILED: s3://e/x: is gone 0")


def test_a_ledger_that_cannot_be_written_does_not_silence_the_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = FakeRecorder()

    def broken(*_: object, **__: object) -> None:
        raise CaseError("the head keeps moving")

    monkeypatch.setattr(recorder.ledger, "append", broken)
    with pytest.raises(AuditError, match="could not be written into the ledger: the head keeps moving"):
        record_audit(recorder, report("is gone"))


def test_all_cases_are_listed_over_all_pages() -> None:
    pages = {None: ("b", "1"), "1": ("a", None)}

    class Store(StoreInMemory):
        def list_cases(self, *, limit: int = 50, cursor: str | None = None) -> tuple[list[Case], str | None]:
            name, following = pages[cursor]
            return [case(case_id=f"fc-20261124-{name * 10}")], following

    assert [c.case_id for c in list_cases(Store())] == [f"fc-20261124-{name * 10}" for name in "ba"]


def test_what_was_read_is_remembered_and_what_differs_stays_due() -> None:
    recorder, archive = FakeRecorder(), ArchiveInMemory()
    good, bad = (archive.put(f"cases/{CASE_ID}/{name}", b"x") for name in ("good", "bad"))
    marks = {v.uri: mark(v) for v in archive.versions("")}
    audit = SimpleNamespace(versions={mark(v): v for v in archive.versions("")}, read=set(marks.values()))
    recorder.put(case_keys.AUDIT_STATE, AuditState(read={"gone": 1, marks[bad]: 5}))
    found = report().model_copy(update={"differences": (Difference(part=bad, what="changed"),)})
    settings = SimpleNamespace(audit_every_days=90)
    kept = remember(recorder, audit, found, run_id="run-1", settings=settings)  # type: ignore[arg-type]
    state = recorder.get(case_keys.AUDIT_STATE, AuditState)
    assert state and state.read == {marks[good]: day_of(NOW), marks[bad]: 5}
    assert kept.run_id == "run-1" and (kept.coverage.objects, kept.coverage.due) == (2, 1)
