"""Times: the key moments, and the one timeline that everything is merged into."""

from __future__ import annotations

import pytest

from forensics.models.case import CaseView
from forensics.report import chronology, render_html
from forensics.report.chronology import MAX_ENTRIES, MAX_TEXT, merged, shown
from tests.unit.report import sample


@pytest.fixture(scope="module")
def view() -> CaseView:
    """Everything at once."""
    return sample.rich_view()


def test_key_times_have_every_milestone_with_seconds_since_receipt(view: CaseView) -> None:
    rows = {row.name: row for row in chronology.key_times(view)}
    assert {
        "finding_event",
        "received",
        "opened",
        "triaged",
        "first_volatile_byte",
        "memory_complete",
        "snapshots_started",
        "contained",
        "reported",
    } <= rows.keys()
    assert rows["finding_event"].since_received == -95.0
    assert rows["first_volatile_byte"].since_received == 12.25
    assert rows["first_volatile_byte"].since_event == 107.25
    assert rows["copies_complete"].at is None
    assert rows["copies_complete"].since_received is None


def test_timeline_is_one_axis_from_all_sources(view: CaseView) -> None:
    moments = chronology.merged(view)
    assert [m.time for m in moments] == sorted(m.time for m in moments)
    kinds = {m.kind for m in moments}
    assert kinds == {
        "finding",
        "case",
        "custody",
        "containment",
        "investigation",
        "evidence",
        "failure",
        "tool",
    }
    # the failure is in the timeline and in the failures: it is shown once
    assert sum(m.kind == "failure" for m in moments) == 1
    stretches = chronology.stretches(moments)
    assert [m for s in stretches for m in s.moments] == moments
    assert [(s.from_tools, s.folded) for s in stretches][:2] == [(True, True), (False, False)]
    assert (True, False) in {(s.from_tools, s.folded) for s in stretches}


def test_a_page_holds_the_first_entries_and_says_how_many_it_leaves_out(view: CaseView) -> None:
    entry = view.timeline[0]
    many = tuple(entry.model_copy(update={"what": f"entry {n}"}) for n in range(MAX_ENTRIES + 500))
    moments = merged(view.model_copy(update={"timeline": many}))
    assert len(shown(moments)) == MAX_ENTRIES
    html = render_html(view.model_copy(update={"timeline": many}))
    assert f"{len(moments) - MAX_ENTRIES:,} later entries not shown here" in html
    fat = tuple(entry.model_copy(update={"what": f"{n}" + "x" * (MAX_TEXT // 10)}) for n in range(50))
    text = sum(len(m.what) for m in shown(merged(view.model_copy(update={"timeline": fat}))))
    assert MAX_TEXT // 2 < text <= MAX_TEXT, "their text is bounded too"
