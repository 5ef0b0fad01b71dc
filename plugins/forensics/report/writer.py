"""Render a case and store its report, as HTML and JSON, with the exports beside it."""

from __future__ import annotations

from collections.abc import Mapping

from forensics.aws.s3 import StoredObject
from forensics.case.gaps import gaps
from forensics.case.killed_steps import record_killed_steps
from forensics.case.recorder import CaseRecorder
from forensics.models.case import CaseView, Milestone, Phase
from forensics.models.custody import CustodyAction
from forensics.models.gaps import Gap
from forensics.naming import case_prefix
from forensics.report import render_html, render_json
from forensics.report.exports import exports
from forensics.report.headline import gap_lines
from forensics.report.text import count


def write_report(recorder: CaseRecorder, *, task_states: Mapping[str, str]) -> dict[str, str]:
    """Store a new version of the report; earlier ones stay. Returns the S3 URIs by name (``html``, ``json``, exports).

    ``task_states`` are the states of the run's tasks: those that Airflow ended are recorded as failed steps first.
    """
    recorder.phase(Phase.REPORT)
    record_killed_steps(recorder, task_states)
    ended = [i.ended_at for i in recorder.view().investigations if i.ended_at]
    if ended:
        recorder.milestone(Milestone.INVESTIGATION_COMPLETE, max(ended))
    recorder.sign_ledger("report")
    view = recorder.view()
    stored = _store(recorder, view)
    recorder.milestone(Milestone.REPORTED)
    uris = {name: item.uri for name, item in stored.items()}
    detail = {name: {"uri": item.uri, "sha256": item.sha256} for name, item in stored.items()}
    recorder.custody(CustodyAction.REPORT_WRITTEN, detail=detail)
    recorder.note(f"report written: {uris['html']}")
    _announce(recorder, uris, gaps(view))
    return uris


def _store(recorder: CaseRecorder, view: CaseView) -> dict[str, StoredObject]:
    prefix = f"{case_prefix(recorder.case_id)}report/{view.generated_at.strftime('%Y%m%dT%H%M%S.%fZ')}/"
    put = recorder.gateways.evidence.put
    stored = {
        made.name: put(prefix + made.name, made.text.encode(), content_type=made.content_type) for made in exports(view)
    }
    # The report lists the exports beside it.
    view = view.model_copy(update={"objects": (*view.objects, *(item.uri for item in stored.values()))})
    for name, text, kind in (
        ("html", render_html(view), "text/html; charset=utf-8"),
        ("json", render_json(view), "application/json"),
    ):
        stored[name] = put(f"{prefix}report.{name}", text.encode(), content_type=kind)
    return stored


def _announce(recorder: CaseRecorder, uris: dict[str, str], found: list[Gap]) -> None:
    recorder.announce(
        "report",
        "Report written" + (f", with {count(len(found), 'gap')}" if found else ""),
        lines=[f"Report: {uris['html']}", *gap_lines(found)],
        facts={"report": uris, "gap_count": len(found)},
        once=False,
        routine=True,
    )
