"""What becomes of a preflight's result: an item of the case store, metrics, a message to people."""

from __future__ import annotations

from forensics.aws.case_store import CaseStore
from forensics.aws.cloudwatch import Metrics
from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.case_keys import PREFLIGHT_LAST
from forensics.models.preflight import CheckStatus, PreflightReport
from forensics.naming import PREFLIGHT


def record_report(hook: ForensicsHook, report: PreflightReport) -> None:
    """Store the report as the last one of its part, and put its numbers to CloudWatch."""
    own, settings = hook.own(), hook.settings
    CaseStore.of(own, settings).put(PREFLIGHT, f"{PREFLIGHT_LAST}{report.part}", report)
    Metrics.of(own).put(
        {
            "PreflightBroken": report.counts[CheckStatus.BROKEN],
            "PreflightNotTried": report.counts[CheckStatus.NOT_TRIED],
        }
    )


def last_reports(store: CaseStore) -> tuple[PreflightReport, ...]:
    """The last report of each part, newest first."""
    found = [store.get(PREFLIGHT, f"{PREFLIGHT_LAST}{part}", PreflightReport) for part in ("quick", "full")]
    return tuple(sorted((r for r in found if r is not None), key=lambda r: r.at, reverse=True))


def announce(hook: ForensicsHook, report: PreflightReport) -> None:
    """Tell people which lines are broken and what to do."""
    lines = [f"{r.check} {r.subject}: {r.detail}\n  Next: {r.next_action}" for r in report.broken[:30]]
    Notifier.of(hook.own(), hook.settings).publish(
        case_id="none",
        event="preflight",
        subject=f"Forensic preflight: {report.headline}",
        lines=lines,
        facts={"part": report.part, "broken": [f"{r.check} {r.subject}" for r in report.broken[:50]]},
    )
