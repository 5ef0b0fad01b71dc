"""The finding is told: which case works it, and how that ended. Never at the case's expense."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.errors import AwsError
from forensics.intake.write_back import FindingWriteBack, Stage
from forensics.models.case import Case, CaseStatus, TimelineKind
from forensics.models.finding import Finding, FindingSource
from forensics.settings import Settings

SILENT = frozenset({FindingSource.MANUAL, FindingSource.CONFIG})


def annotate(
    findings: Sequence[Finding],
    *,
    case: Case,
    store: CaseStore,
    write_back: Callable[[], FindingWriteBack],
    settings: Settings,
    step: str,
) -> None:
    """Write the case's id and state into findings that do not have them yet; failures are timeline entries.

    Config has no findings to write to, and a person's request is no finding. A complete case resolves its findings; one
    that closed with gaps leaves them in progress.
    """
    if not settings.write_back:
        return
    resolved = case.status is CaseStatus.CLOSED and settings.resolve_findings
    stage = Stage.RESOLVED if resolved else Stage.IN_PROGRESS
    for finding in findings:
        mark = f"{case_keys.WRITE_BACK}{case_keys.finding(finding)}#{case.status.value}"
        if finding.source in SILENT or store.has(case.case_id, mark):
            continue
        try:
            write_back().annotate(finding, text=_text(case, settings), stage=stage)
        except AwsError as error:
            store.note(
                case.case_id,
                f"the finding {finding.title[:120]} ({finding.source.value}) was not annotated: {str(error)[:500]}",
                kind=TimelineKind.FAILURE,
                source=step,
            )
        # Tried once for each state of the case: a service that refuses is not asked at every retry.
        store.put_once(case.case_id, mark, {"stage": stage.value})


def _text(case: Case, settings: Settings) -> str:
    words = {
        CaseStatus.OPEN: "is being worked in forensic case",
        CaseStatus.CLOSED: "was worked in forensic case",
        CaseStatus.CLOSED_WITH_GAPS: "was worked, with gaps, in forensic case",
    }.get(case.status, "belongs to forensic case")
    link = f" {settings.ui_url}/dags/forensic_case/runs/{case.run_id}" if settings.ui_url else ""
    return f"This finding {words} {case.case_id} (instance {case.instance_id}).{link}"
