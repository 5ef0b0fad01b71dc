"""Only what outlived its case is an orphan."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forensics.investigation.orphans import CaseResource, why_orphan
from forensics.models.case import Case, CaseStatus
from forensics.naming import SYMBOL_LIBRARY
from tests.unit.builders import CASE_ID, NOW, case

LIMIT = timedelta(hours=12)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def closed(ago: timedelta) -> Case:
    return case().model_copy(update={"status": CaseStatus.CLOSED_WITH_GAPS, "closed_at": NOW - ago})


@pytest.mark.parametrize(
    ("age", "of", "expected"),
    [
        (minutes(30), case(), None),
        (timedelta(hours=11.9), case(), None),
        (timedelta(hours=12.1), case(), "12.1 hours old; 12 are allowed"),
        (minutes(30), closed(minutes(5)), "its case is CLOSED_WITH_GAPS since 2026-11-24 07:55:00Z"),
        # A closed case whose tasks were cleared works again.
        (minutes(3), closed(minutes(5)), None),
        (timedelta(hours=13), closed(timedelta(hours=20)), "13.0 hours old"),
        (minutes(14), None, None),
        (minutes(16), None, f"no case {CASE_ID} is known"),
    ],
)
def test_a_resource_is_an_orphan_when_its_case_cannot_need_it(
    age: timedelta, of: Case | None, expected: str | None
) -> None:
    reason = why_orphan(CaseResource("i-1", "instance", CASE_ID, NOW - age), of, now=NOW, limit=LIMIT)
    assert reason is None if expected is None else expected in str(reason)


@pytest.mark.parametrize(("case_id", "valid"), [(CASE_ID, True), ("", False), ("fc-1; rm", False), ("prod", False)])
def test_a_tag_that_names_no_case_is_seen(case_id: str, valid: bool) -> None:
    assert CaseResource("i-1", "instance", case_id, NOW).valid_case is valid


@pytest.mark.parametrize(("hours", "orphan"), [(1, False), (1.9, False), (3, True)])
def test_a_builder_of_the_symbol_library_lives_two_hours(hours: float, orphan: bool) -> None:
    builder = CaseResource("i-1", "instance", SYMBOL_LIBRARY, NOW - timedelta(hours=hours))
    assert builder.valid_case
    reason = why_orphan(builder, None, now=NOW, limit=LIMIT)
    assert reason == (f"no build of a symbol table takes {hours:.1f} hours" if orphan else None)
