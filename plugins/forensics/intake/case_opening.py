"""The first step of a case's run: admit a person's request, and record that the case is open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from forensics import case_keys
from forensics.aws.sns import Notifier
from forensics.case.recorder import CaseRecorder
from forensics.case.retention import Holding, kept_until, retain
from forensics.errors import CaseConflictError, ForensicsError
from forensics.intake.admission import CaseAdmission
from forensics.intake.manual_request import ManualRequest
from forensics.models.approval import Person
from forensics.models.case import Milestone, TimelineKind
from forensics.models.custody import CustodyAction, HoldLift
from forensics.models.notices import CaseLabel
from forensics.settings import Settings

# The part of opening that is a gap of the case when it fails.
REOPENED = "open_case:retention"


def open_requested_case(
    admission: CaseAdmission, request: ManualRequest, *, run_id: str, requested_at: datetime, user: Person | None
) -> str:
    """Open the case that a person asked for; returns its id.

    Raises :class:`InvalidCaseError` for a request that is not valid, and :class:`CaseConflictError` when the instance has
    an open case already: the request has joined that one.
    """
    finding = request.finding(run_id=run_id, requested_at=requested_at, user=user)
    admitted = admission.admit(finding, received_at=requested_at, run_id=run_id)
    if admitted.outcome.joined or admitted.case.run_id != run_id:
        holder = admitted.case.case_id
        msg = f"{admitted.case.subject} already has an open case: {holder}"
        raise CaseConflictError(msg, next_action=f"continue in the run of case {holder}; the request was noted there")
    return admitted.case.case_id


def record_opening(recorder: CaseRecorder, *, run_id: str, label: Callable[[], CaseLabel] = CaseLabel) -> None:
    """Record that the run has the case: lock, milestones, ledger, timeline, one notification.

    ``label``: reads the names of account and instance, for subjects.
    """
    case, store = recorder.case, recorder.gateways.store
    store.begin_case(case.case_id, run_id=run_id)
    finding = recorder.findings()[0]
    recorder.milestone(Milestone.RECEIVED, case.received_at or case.opened_at)
    recorder.milestone(Milestone.OPENED, case.opened_at)
    if finding.updated_at or finding.created_at:
        recorder.milestone(Milestone.FINDING_EVENT, finding.updated_at or finding.created_at)
    recorder.custody(
        CustodyAction.CASE_OPENED,
        detail={
            "finding": finding.finding_id[:500],
            "source": finding.source.value,
            "run_id": run_id,
            "reason": case.reason or "",
            **({"drill": True} if case.drill else {}),
        },
        once="case-opened",
    )
    recorder.note(
        f"finding: {case.title} ({case.severity}, {case.source})",
        kind=TimelineKind.FINDING,
        at=finding.updated_at or case.opened_at,
    )
    recorder.note("case opened", at=case.opened_at)
    if recorder.get(case_keys.LABEL, CaseLabel) is None:
        recorder.put(case_keys.LABEL, label())
    recorder.announce(
        "case_opened",
        f"Case opened: {case.title[:200]}",
        lines=[f"Severity {case.severity}, from {case.source}"],
    )


def hold_again(recorder: CaseRecorder, holding: Holding, settings: Settings) -> None:
    """Hold the evidence of a case that was closed and is open again; retention counts from the next closing.

    A failure is a gap of the case until the daily run of ``evidence_retention`` has mended it; it stops nothing here.
    """
    until = kept_until(datetime.now(UTC), days=settings.retention_days)
    lift = recorder.get(case_keys.HOLD_LIFT, HoldLift)
    if lift and lift.lifted_at:
        recorder.put(case_keys.HOLD_LIFT, lift.model_copy(update={"lifted_at": None}))
    try:
        retain(recorder, holding, until=until, closed=False, hold=settings.legal_hold)
    except ForensicsError as error:
        recorder.mark_failed(REOPENED, error)
        return
    recorder.clear_failed(REOPENED)


def announce_refusal(notifier: Notifier, request: ManualRequest, error: ForensicsError) -> None:
    """Nothing was opened: notify people who are not looking at the UI."""
    notifier.publish(
        case_id="none",
        event="request_refused",
        subject=f"Forensic case refused: {type(error).__name__}",
        lines=[str(error), f"What to do next: {error.next_action}"],
        facts={"instance_id": request.instance_id[:40], "account_id": request.account_id[:20]},
    )
