"""Which cases are audited, and what becomes of an audit's result."""

from __future__ import annotations

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.recorder import CaseRecorder
from forensics.custody.audit import CaseAudit
from forensics.custody.audit_plan import AuditState, candidate, coverage, day_of
from forensics.custody.audit_rules import AuditReport
from forensics.errors import AuditError, ForensicsError
from forensics.models.case import Case, TimelineKind
from forensics.models.custody import CustodyAction
from forensics.settings import Settings

_PAGE = 100


def list_cases(store: CaseStore) -> list[Case]:
    """All cases, newest first."""
    found: list[Case] = []
    cursor: str | None = None
    while True:
        cases, cursor = store.list_cases(limit=_PAGE, cursor=cursor)
        found += cases
        if cursor is None:
            return found


def remember(
    recorder: CaseRecorder, audit: CaseAudit, report: AuditReport, *, run_id: str, settings: Settings
) -> AuditReport:
    """Note which versions were read and found as recorded; returns the report with the case's coverage.

    What differs is not noted: it stays due, and every run reads it again until somebody has looked.
    """
    state = recorder.get(case_keys.AUDIT_STATE, AuditState) or AuditState()
    wrong, today = {d.part for d in report.differences}, day_of(report.at)
    read = {m: day for m, day in state.read.items() if m in audit.versions}
    read |= {m: today for m in audit.read if audit.versions[m].uri not in wrong}
    recorder.put(case_keys.AUDIT_STATE, AuditState(read=read))
    found = [
        candidate(recorder.case_id, m, size_bytes=v.size_bytes, written_at=v.written_at, read=read)
        for m, v in audit.versions.items()
    ]
    seen = coverage(found, today=today, every_days=settings.audit_every_days)
    return report.model_copy(update={"run_id": run_id, "coverage": seen})


def record_audit(recorder: CaseRecorder, report: AuditReport) -> None:
    """Record an audit in the case; raises :class:`AuditError`, after the alarm is recorded, when anything differs."""
    recorder.put(case_keys.AUDIT, report)
    if not report.differences:
        return
    named = [str(d) for d in report.differences]
    recorder.note(f"AUDIT FAILED: {'; '.join(named)[:900]}", kind=TimelineKind.CUSTODY)
    try:
        recorder.custody(CustodyAction.AUDIT_FAILED, detail={"differences": [n[:500] for n in named[:50]]})
    except ForensicsError as error:
        # The alarm itself must go out, also when it is the ledger that is damaged.
        named.append(f"the alarm could not be written into the ledger: {error}")
    raise AuditError(
        f"the audit of {recorder.case_id} found {_differences(len(report.differences))}: {'; '.join(named)}",
        next_action="treat the evidence as tampered with until an examiner has looked at it: CloudTrail names who did it; "
        "the first versions, the signed heads and the snapshots are still there",
    )


def _differences(number: int) -> str:
    return "1 difference" if number == 1 else f"{number} differences"
