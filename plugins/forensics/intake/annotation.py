"""The finding shows which case investigates it, and how that ended. A failure here never affects the case."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.case.addresses import run_page
from forensics.errors import AwsError
from forensics.intake.write_back import FindingWriteBack, WriteBackStage
from forensics.models.case import Case, CaseStatus, TimelineKind
from forensics.models.containment import ContainmentResult, ContainmentState
from forensics.models.finding import Finding, FindingSource
from forensics.settings import Settings

_CLOSED_NETWORK = frozenset({ContainmentState.NEW_FLOWS_BLOCKED, ContainmentState.ALL_FLOWS_VERIFIED})
# Config has no findings to write to, a person's request is not a finding of a service, and a webhook's sender gets the case by a channel.
NOT_ANNOTATED = frozenset({FindingSource.MANUAL, FindingSource.CONFIG, FindingSource.WEBHOOK})


def annotate(
    findings: Sequence[Finding],
    *,
    case: Case,
    store: CaseStore,
    write_back: Callable[[], FindingWriteBack],
    settings: Settings,
    step: str,
) -> None:
    """Write the case's id and state into findings that do not show them yet; failures are timeline entries.

    A complete case whose target is contained resolves its findings; otherwise they stay in progress: nothing was done about
    what they report, and Security Hub never opens a resolved finding again when its product updates it. Posture is left alone:
    a control is mended where it failed.
    """
    if not settings.write_back:
        return
    resolved = case.status is CaseStatus.CLOSED and settings.resolve_findings and _contained(case, store)
    stage = WriteBackStage.RESOLVED if resolved else WriteBackStage.IN_PROGRESS
    for finding in findings:
        key = _key(finding, case.status)
        if finding.source in NOT_ANNOTATED or finding.posture or store.has(case.case_id, key):
            continue
        try:
            write_back().annotate(finding, text=note_text(case, ui_url=settings.ui_url), stage=stage)
        except AwsError as error:
            store.note(
                case.case_id,
                f"the finding {finding.title[:120]} ({finding.source.value}) was not annotated: {str(error)[:500]}",
                kind=TimelineKind.FAILURE,
                source=step,
            )
        # Tried once for each state of the case: a service that refuses is not asked at every retry.
        store.put_once(case.case_id, key, {"stage": stage.value})
        if case.status is CaseStatus.FAILED:
            # a person may continue the case: then the finding says again that it is investigated
            store.remove(case.case_id, _key(finding, CaseStatus.OPEN))


def _key(finding: Finding, status: CaseStatus) -> str:
    return f"{case_keys.WRITE_BACK}{case_keys.finding(finding)}#{status.value}"


def _contained(case: Case, store: CaseStore) -> bool:
    """Whether the target's network was closed by this case, and has not been opened again."""
    result = store.get(case.case_id, case_keys.CONTAINMENT, ContainmentResult)
    return result is not None and result.state in _CLOSED_NETWORK and not store.has(case.case_id, case_keys.RELEASE)


def note_text(case: Case, *, ui_url: str) -> str:
    """The note that the finding gets."""
    state = {
        CaseStatus.OPEN: "is being investigated in forensic case",
        CaseStatus.CLOSED: "was investigated in forensic case",
        CaseStatus.CLOSED_WITH_GAPS: "was investigated, with gaps, in forensic case",
        CaseStatus.FAILED: "is NOT investigated any more (runs were lost, given up) in forensic case",
    }.get(case.status, "belongs to forensic case")
    link = f" {run_page(ui_url, case.run_id)}" if ui_url and case.run_id else ""
    return f"This finding {state} {case.case_id} ({case.subject}).{link}"
