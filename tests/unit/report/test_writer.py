"""Writing a report: what is stored, recorded and sent."""

from __future__ import annotations

import json

from forensics.models.case import CaseStatus, Milestone, Phase
from forensics.models.custody import CustodyAction
from forensics.report import render_html
from forensics.report.writer import before_closing, write_report
from tests.unit.builders import said
from tests.unit.report import sample
from tests.unit.report.test_gap_counts import Stored


def test_a_report_is_stored_with_its_exports_and_recorded() -> None:
    recorder = Stored(sample.complete_view())
    uris = write_report(recorder, task_states={})
    assert set(uris) == {"html", "json", "timeline.timesketch.jsonl", "case.stix.json", "findings.ocsf.jsonl"}
    stored = {uri.removeprefix("s3://evidence/") for uri in uris.values()}
    assert stored <= set(recorder.evidence_store.objects)
    detail = recorder.ledger.last(CustodyAction.REPORT_WRITTEN, recorder.case_id).detail
    assert {name: item["uri"] for name, item in detail.items() if name != "step"} == uris  # type: ignore[index]
    document = json.loads(recorder.evidence_store.objects[uris["json"].removeprefix("s3://evidence/")])
    assert uris["case.stix.json"] in document["view"]["objects"], "the report lists the exports beside it"
    assert document["view"]["case"]["phase"] == "REPORT"
    view = recorder.view()
    assert view.case.phase is Phase.REPORT and Milestone.REPORTED in view.milestones
    assert view.milestones[Milestone.INVESTIGATION_COMPLETE] == sample.at(795)
    assert recorder.ledger.signed == ["report"]
    assert recorder.mailbox.mail[-1].lines[2] == f"Report: {uris['html']}"
    assert recorder.subjects == [said("Report written", about=recorder.case)]


def test_a_second_report_leaves_the_first() -> None:
    recorder = Stored(sample.complete_view())
    assert set(write_report(recorder, task_states={}).values()).isdisjoint(
        write_report(recorder, task_states={}).values()
    )


def test_a_step_that_airflow_ended_is_in_the_report() -> None:
    recorder = Stored(sample.complete_view())
    uris = write_report(recorder, task_states={"disk.copy_snapshots": "failed", "triage.plan_response": "success"})
    document = json.loads(recorder.evidence_store.objects[uris["json"].removeprefix("s3://evidence/")])
    assert [gap["subject"] for gap in document["gaps"]] == ["disk.copy_snapshots"]
    assert recorder.subjects[-1] == said("Report written, with 1 gap", about=recorder.case)


def test_a_repeated_report_does_not_carry_what_went_wrong_in_the_earlier_closing() -> None:
    of_closing = sample.failure().model_copy(update={"step": "close:report", "cause": "no report was written"})
    shown = before_closing(sample.complete_view(failures=(of_closing, sample.failure())))
    assert [failure.step for failure in shown.failures] == [sample.failure().step]


def test_a_repeated_report_does_not_carry_the_earlier_closing() -> None:
    closed = sample.rich_view()
    assert closed.case.closed_at is not None
    shown = before_closing(closed)
    assert (shown.case.status, shown.case.closed_at, shown.case.phase) == (CaseStatus.OPEN, None, Phase.REPORT)
    page = render_html(shown)
    assert "just before the case was closed" in page and "CLOSED_WITH_GAPS</span>" not in page
    assert "closed" not in shown.milestones and shown.custody == closed.custody
