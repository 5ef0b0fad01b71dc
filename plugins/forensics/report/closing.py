"""Close a case: decide how complete it is, sign its ledger, release the lock on its instance, notify people."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from forensics.case.beginning import begin
from forensics.case.gaps import gaps
from forensics.case.recorder import CaseRecorder
from forensics.case.waiting import seal_waits
from forensics.errors import ForensicsError
from forensics.models.case import Case, CaseStatus, CaseView, Milestone, Phase
from forensics.models.custody import CustodyAction
from forensics.models.gaps import Gap
from forensics.printable import count
from forensics.report.headline import gap_lines
from forensics.report.second_opinion import second_opinions

# Parts of closing that are gaps of the case when they fail; the step itself continues.
INSTANCE, PROTECTION, REPORT, RETENTION, SIGNATURE = (
    "close:forensic_instance",
    "close:protection",
    "close:report",
    "close:retention",
    "close:signature",
)


def close_case(
    recorder: CaseRecorder,
    *,
    remove_forensic_resources: Callable[[], None],
    end_protection: Callable[[], None],
    complete_report: Callable[[], object],
    keep_evidence: Callable[[datetime], object],
    annotate_findings: Callable[[Case], None],
) -> list[Gap]:
    """Close the case and return its gaps; without any it is complete.

    From now on the retention of the evidence counts: ``keep_evidence`` gets the time of the closing.
    A report that does not tell all that is recorded by now is followed by one that does (``complete_report``).
    What protected a target that is not contained is taken back (``end_protection``).
    No forensic instance of the case outlives it, whatever became of the teardown. ``annotate_findings`` gets the closed case.
    """
    # the time at which the first try began: a second one does not move the end of the retention
    now = begin(recorder).at
    recorder.phase(Phase.REPORT)
    _part(recorder, INSTANCE, remove_forensic_resources)
    _part(recorder, PROTECTION, end_protection)
    _part(recorder, REPORT, complete_report)
    _part(recorder, RETENTION, lambda: keep_evidence(now))
    view = recorder.view()
    found = gaps(view)
    status = _status(found)
    recorder.milestone(Milestone.CLOSED, now)
    recorder.custody(
        CustodyAction.CASE_CLOSED, detail={"status": status.value, "gaps": [str(gap)[:300] for gap in found][:50]}
    )
    recorder.note(f"case closed: {status.value}")
    # A broken ledger is a gap; it does not keep the case, and its lock on the instance, open for ever.
    sealed = _part(recorder, SIGNATURE, lambda: recorder.sign_ledger("close"))
    seal_waits(recorder, "custody ledger", None if sealed else "its head could not be signed when the case was closed")
    if not sealed:
        view = recorder.view()
        found = gaps(view)
        status = _status(found)
    closed = recorder.gateways.store.end_case(recorder.case_id, status=status, phase=Phase.DONE, closed_at=now)
    annotate_findings(closed)
    _announce(recorder, view.model_copy(update={"case": closed}), found)
    return found


def _part(recorder: CaseRecorder, name: str, work: Callable[[], object]) -> bool:
    try:
        work()
    except ForensicsError as error:
        recorder.mark_failed(name, error)
        return False
    recorder.clear_failed(name)
    return True


def _status(found: list[Gap]) -> CaseStatus:
    return CaseStatus.CLOSED_WITH_GAPS if found else CaseStatus.CLOSED


def _announce(recorder: CaseRecorder, view: CaseView, found: list[Gap]) -> None:
    recorder.announce(
        "case_closed",
        f"Case closed WITH GAPS: {count(len(found), 'gap')}" if found else "Case closed: complete",
        lines=[
            *(gap_lines(found) or ["Everything that the plan wanted was done and verified."]),
            *(f"Second opinion on {said}" for said in second_opinions(view)),
        ],
        facts={"status": view.case.status.value, "gaps": [str(gap) for gap in found[:50]], "gap_count": len(found)},
        once=False,
        with_held=True,
    )
