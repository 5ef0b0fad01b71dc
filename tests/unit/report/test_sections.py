"""Rows of the middle of the report."""

from __future__ import annotations

import pytest

from forensics.models.case import CaseView
from forensics.report import render_html, sections
from forensics.report.sections import FOUND_SHOWN, FOUND_TEXT, found_rows, shown_rows
from tests.unit.report import sample


@pytest.fixture(scope="module")
def view() -> CaseView:
    """Everything at once."""
    return sample.rich_view()


def test_findings_are_sorted_by_severity_then_time_with_unknown_times_last(view: CaseView) -> None:
    rows = sections.found_rows(view)
    assert [r.finding.id for r in rows[:4]] == ["f-50", "f-2", "f-1", "f-3"]
    assert rows[0].anchor == 3
    assert rows[1].anchor == 2


def test_a_signature_of_something_else_is_reported(view: CaseView) -> None:
    other = view.model_copy(update={"custody_signature": {"head": "f" * 64, "signature": "x"}})
    assert sections.signature(other).level == "bad"


def test_exports_are_the_newest_of_each_kind(view: CaseView) -> None:
    prefix = f"s3://evidence/cases/{sample.CASE_ID}/report"
    objects = (f"{prefix}/1/case.stix.json", f"{prefix}/2/case.stix.json", f"{prefix}/2/report.html")
    rows = sections.export_rows(view.model_copy(update={"objects": objects}))
    assert [uri for uri, _ in rows] == [f"{prefix}/2/case.stix.json"]


def test_digests_say_whether_they_agree(view: CaseView) -> None:
    levels = {row.item.evidence_id: row.digest_level for row in sections.evidence_rows(view)}
    assert levels == {
        "control-plane-facts": "idle",
        "memory-image": "good",
        "disk-vol-0a0a0a0a0a0a0a0a0": "bad",
        "disk-vol-0bad0bad0bad0bad0": "idle",
    }


def test_a_run_that_failed_is_marked_and_a_remark_of_one_that_did_not_is_a_note() -> None:
    (memory,) = sections.provenance_rows(sample.noisy_view())
    assert [(run.tool, failed) for run, failed in memory.runs] == [("confinement", False), ("dissect.target", False)]
    assert memory.notes == (
        "confinement user 0: it runs as root",
        "dissect.target cronjobs: No crontab(s) found on target",
    )


def test_a_page_holds_the_most_severe_findings_and_says_how_many_it_leaves_out(view: CaseView) -> None:
    first = view.results[0]
    many = tuple(first.findings[0].model_copy(update={"id": str(n)}) for n in range(1_000))
    flooded = view.model_copy(update={"results": (first.model_copy(update={"findings": many}),)})
    rows = shown_rows(flooded)
    assert rows == found_rows(flooded)[:FOUND_SHOWN]
    assert len(rows) == FOUND_SHOWN and f"{1_000 - FOUND_SHOWN} less severe findings are not shown here" in render_html(
        flooded
    )
    large = many[0].model_copy(update={"detail": "x" * (FOUND_TEXT // 10)})
    fat = view.model_copy(update={"results": (first.model_copy(update={"findings": (large,) * 100}),)})
    assert 0 < len(shown_rows(fat)) < 11, "their text is bounded too"
