"""Render a case and store its report, as HTML and JSON, with the exports beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from forensics import case_keys
from forensics.aws.s3 import StoredObject
from forensics.case.addresses import PAGES_PATH, case_page
from forensics.case.beginning import begin
from forensics.case.gaps import gaps
from forensics.case.killed_steps import record_killed_steps
from forensics.case.recorder import CaseRecorder
from forensics.custody.chain import canonical
from forensics.errors import ForensicsError
from forensics.models.case import CaseStatus, CaseView, Milestone, Phase, StepFailure
from forensics.models.custody import CustodyAction
from forensics.models.gaps import Gap
from forensics.models.outside import Outside
from forensics.naming import case_prefix
from forensics.printable import count
from forensics.report import render_html, render_json
from forensics.report.exports import exports
from forensics.report.headline import gap_lines


class _Reported(Outside):
    """What the last report tells of, as a digest."""

    tells: str


def write_report(recorder: CaseRecorder, *, task_states: Mapping[str, str]) -> dict[str, str]:
    """Store a new version of the report; earlier ones stay. Returns the S3 URIs by name (``html``, ``json``, exports).

    ``task_states`` are the states of the run's tasks: those that Airflow ended are recorded as failed steps first.
    """
    recorder.phase(Phase.REPORT)
    record_killed_steps(recorder, task_states)
    ended = [i.ended_at for i in recorder.view().investigations if i.ended_at and not i.follows]
    if ended:
        recorder.milestone(Milestone.INVESTIGATION_COMPLETE, max(ended))
    began = begin(recorder)
    prefix = f"{case_prefix(recorder.case_id)}report/{began.at.strftime('%Y%m%dT%H%M%S.%fZ')}/"
    # An earlier try that has stored something has signed; the ledger may have grown since by what it said of its report.
    if began.first or not recorder.gateways.evidence.list(prefix):
        recorder.sign_ledger("report")
    view = before_closing(recorder.view()).model_copy(update={"generated_at": began.at})
    stored, as_seen = _store(recorder, view, prefix=prefix)
    recorder.milestone(Milestone.REPORTED)
    uris = {name: item.uri for name, item in stored.items()}
    detail = {name: {"uri": item.uri, "sha256": item.sha256} for name, item in stored.items()}
    recorder.custody(CustodyAction.REPORT_WRITTEN, detail=detail)
    recorder.note(f"report written: {uris['html']}")
    # What an earlier try of this step has stored tells of the case as that try found it: the closing writes what came since.
    recorder.put(case_keys.REPORTED, _Reported(tells=_told(view) if as_seen else ""))
    _announce(recorder, uris, gaps(view))
    return uris


def complete_report(recorder: CaseRecorder, *, task_states: Mapping[str, str]) -> dict[str, str] | None:
    """A further version for what came after the last one: the digests of large disks take hours, and no report waits for them.

    None where the last version tells of all evidence, investigations and failed steps. Raises :class:`ForensicsError` without a report.
    """
    if not recorder.gateways.evidence.list(f"{case_prefix(recorder.case_id)}report/"):
        msg = "no report was written"
        raise ForensicsError(msg, next_action="clear report.write_report in the case's run")
    record_killed_steps(recorder, task_states)
    known = recorder.get(case_keys.REPORTED, _Reported)
    if known and known.tells == _told(recorder.view()):
        return None
    return write_report(recorder, task_states=task_states)


def _told(view: CaseView) -> str:
    """SHA-256 over what may still come when a report is written; what goes wrong in closing itself is told by the closing.

    Without locks: the closing extends them after its report, and its second try would take that for news.
    """
    parts = (view.evidence, view.investigations, view.remarks, _of_steps(view))
    told = [[item.model_dump(mode="json", exclude={"lock"}) for item in part] for part in parts]
    return hashlib.sha256(canonical(told)).hexdigest()


def before_closing(view: CaseView) -> CaseView:
    """The case as this report finds it: not closed yet. An earlier closing, before steps were repeated, is in the timeline.

    What went wrong in that closing ("no report was written") is no gap of this report: the next closing does it again, and tells it.
    """
    case = view.case.model_copy(update={"status": CaseStatus.OPEN, "closed_at": None, "phase": Phase.REPORT})
    milestones = {name: at for name, at in view.milestones.items() if name != Milestone.CLOSED}
    return view.model_copy(update={"case": case, "milestones": milestones, "failures": _of_steps(view)})


def _of_steps(view: CaseView) -> tuple[StepFailure, ...]:
    """Failures of steps, without those of parts of the closing."""
    return tuple(failure for failure in view.failures if not failure.step.startswith("close:"))


def _store(recorder: CaseRecorder, view: CaseView, *, prefix: str) -> tuple[dict[str, StoredObject], bool]:
    """Store exports and report below the prefix; what an earlier try has stored there stays as it is, and then the answer is False."""
    put = recorder.gateways.evidence.put_first
    stored = {
        made.name: put(prefix + made.name, made.text.encode(), content_type=made.content_type)[0]
        for made in exports(view)
    }
    # The report lists the exports beside it.
    view = view.model_copy(update={"objects": (*view.objects, *(item.uri for item in stored.values()))})
    as_seen = True
    for name, text, kind in (
        ("html", render_html(view), "text/html; charset=utf-8"),
        ("json", render_json(view), "application/json"),
    ):
        stored[name], kept = put(f"{prefix}report.{name}", text.encode(), content_type=kind)
        as_seen = as_seen and kept == text.encode()
    return stored, as_seen


def _where(recorder: CaseRecorder, uri: str) -> list[str]:
    """Where people read the report: the case's page, where there is an address of the UI, and where it is stored."""
    if not recorder.ui_url:
        return [f"Report: {uri}"]
    return [f"Report: {case_page(recorder.ui_url + PAGES_PATH, recorder.case_id)}", f"Stored as {uri}"]


def _announce(recorder: CaseRecorder, uris: dict[str, str], found: list[Gap]) -> None:
    recorder.announce(
        "report",
        "Report written" + (f", with {count(len(found), 'gap')}" if found else ""),
        lines=[*_where(recorder, uris["html"]), *gap_lines(found)],
        facts={"report": uris, "gap_count": len(found)},
        once=False,
        routine=True,
    )
