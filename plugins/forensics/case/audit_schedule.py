"""Schedules the audit of all cases within the day's budget, and sums up what a run did."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.s3_archive import EvidenceArchive, StoredVersion
from forensics.custody.audit_plan import (
    AuditedCase,
    AuditPlan,
    AuditState,
    AuditSummary,
    Budget,
    Candidate,
    candidate,
    day_of,
    select,
    total,
)
from forensics.custody.audit_rules import AuditReport
from forensics.custody.hold_lift import mark
from forensics.models.case import Case
from forensics.naming import case_prefix
from forensics.settings import Settings

# Where the summary of the newest run is kept, in place of a case id.
SUMMARY_OF = "audit"
# Airflow's core.max_map_length: more mapped tasks than this fail the run.
MOST_CASES = 1000
# ListObjectVersions twice (versions, delete markers), and three calls of EC2 for each of a few snapshots
_REQUESTS_PER_CASE = 20
_SHOWN = 200


def budget_of(settings: Settings) -> Budget:
    """What the settings allow a run."""
    return Budget(requests=settings.audit_requests, size_bytes=settings.audit_gib * 1024**3)


def first_versions(versions: Sequence[StoredVersion]) -> list[StoredVersion]:
    """Of each key the version that was written first: that is the evidence."""
    first: dict[str, StoredVersion] = {}
    for version in versions:
        first.setdefault(version.key, version)
    return list(first.values())


def schedule(
    store: CaseStore,
    archive: EvidenceArchive,
    cases: Sequence[Case],
    *,
    settings: Settings,
    run_id: str,
    now: datetime,
) -> list[str]:
    """Decide what a run reads of which case, and write it down for the run; returns the ids of the cases to audit.

    Half of the requests may go to the checks that every case gets (ledger, signatures, versions, snapshots), those first whose
    last audit is the longest ago; what is left goes to reading.
    """
    budget, today = budget_of(settings), day_of(now)
    reports = {c.case_id: store.get(c.case_id, case_keys.AUDIT, AuditReport) for c in cases}

    def last(case: Case) -> datetime:
        report = reports[case.case_id]
        return report.at if report else datetime(1970, 1, 1, tzinfo=UTC)

    most = max(1, min(MOST_CASES, budget.requests // 2 // _REQUESTS_PER_CASE))
    audited = sorted(cases, key=last)[:most]
    found: list[Candidate] = []
    for case in audited:
        state = store.get(case.case_id, case_keys.AUDIT_STATE, AuditState) or AuditState()
        found += candidates(case.case_id, archive.versions(case_prefix(case.case_id)), state)
    left = budget.model_copy(update={"requests": budget.requests - len(audited) * _REQUESTS_PER_CASE})
    chosen = defaultdict[str, list[str]](list)
    for item in select(found, budget=left, today=today, every_days=settings.audit_every_days, seed=run_id):
        chosen[item.case_id].append(item.mark)
    for case in audited:
        plan = AuditPlan(run_id=run_id, marks=tuple(chosen[case.case_id]))
        store.put(case.case_id, case_keys.AUDIT_PLAN, plan)
    return [case.case_id for case in audited]


def candidates(case_id: str, versions: Sequence[StoredVersion], state: AuditState) -> list[Candidate]:
    """The versions of a case that can be read, and when they were last."""
    return [
        candidate(case_id, mark(v), size_bytes=v.size_bytes, written_at=v.written_at, read=state.read)
        for v in first_versions(versions)
    ]


def summarize(
    store: CaseStore, cases: Sequence[Case], *, settings: Settings, run_id: str, now: datetime
) -> AuditSummary:
    """Sum up a run from the cases' own records, and keep it for the page."""
    rows, today = [], []
    for case in cases:
        report = store.get(case.case_id, case_keys.AUDIT, AuditReport)
        if report is None:
            rows.append(AuditedCase(case_id=case.case_id))
            continue
        if report.run_id == run_id:
            today.append(report)
        rows.append(
            AuditedCase(
                case_id=case.case_id, at=report.at, coverage=report.coverage, differences=len(report.differences)
            )
        )
    worst = sorted(rows, key=lambda r: (-r.differences, -r.coverage.late, -r.coverage.due, r.case_id))
    summary = AuditSummary(
        at=now,
        run_id=run_id,
        budget=budget_of(settings),
        every_days=settings.audit_every_days,
        cases=len(rows),
        audited=len(today),
        requests=sum(r.requests for r in today),
        read=sum(r.read for r in today),
        read_bytes=sum(r.read_bytes for r in today),
        differences=sum(r.differences for r in rows),
        coverage=total(r.coverage for r in rows),
        rows=tuple(worst[:_SHOWN]),
    )
    store.put(SUMMARY_OF, case_keys.AUDIT_SUMMARY, summary)
    return summary
