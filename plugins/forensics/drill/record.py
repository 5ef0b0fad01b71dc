"""What is kept of drills: what each has made, what it found, the last result for pages and metrics."""

from __future__ import annotations

from collections.abc import Iterator

from forensics import case_keys
from forensics.aws.case_store import CaseStore
from forensics.aws.cloudwatch import Metrics
from forensics.aws.hook import ForensicsHook
from forensics.aws.sns import Notifier
from forensics.case.messages import DRILL_LINE
from forensics.models.drill import DrillReport, DrillRun
from forensics.naming import DRILL


def keep(store: CaseStore, run: DrillRun) -> None:
    """Write down what a drill has made, before the next thing is asked for."""
    store.put(DRILL, f"{case_keys.DRILL_RUN}{run.name}", run)


def known(store: CaseStore, name: str) -> DrillRun | None:
    """What a drill has made; None when it has made nothing."""
    return store.get(DRILL, f"{case_keys.DRILL_RUN}{name}", DrillRun)


def unfinished(store: CaseStore) -> Iterator[DrillRun]:
    """Drills of which something may be left: the canary, its groups, or locked snapshots."""
    for _, data in store.items(DRILL, case_keys.DRILL_RUN):
        run = DrillRun.stored(data)
        if run.snapshots_gone_at is None:
            yield run


def last_report(store: CaseStore) -> DrillReport | None:
    """The result of the last drill."""
    return store.get(DRILL, case_keys.DRILL_LAST, DrillReport)


def publish(hook: ForensicsHook, report: DrillReport) -> None:
    """Store the result as the last one, tell people, put its numbers to CloudWatch. Raises :class:`ForensicsError`."""
    own, settings = hook.own(), hook.settings
    CaseStore.of(own, settings).put(DRILL, case_keys.DRILL_LAST, report)
    Metrics.of(own).put({"DrillFailedChecks": len(report.failed), "DrillChecks": len(report.checks)})
    times = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in report.seconds.items())
    lines = [f"{'ok' if c.passed else 'FAILED'}: {c.name}: {c.detail}" for c in report.checks]
    todo = [f"Next for {c.name}: {c.next_action}" for c in report.failed]
    Notifier.of(own, settings).publish(
        case_id=report.case_id or "none",
        event="drill",
        subject=f"DRILL {report.headline} [{report.case_id or 'no case'}]",
        lines=[report.headline, DRILL_LINE, *lines, *todo, f"Times: {times or 'none'}"],
        facts={
            "drill": True,
            "passed": not report.failed,
            "failed": [c.name for c in report.failed],
            "seconds": report.seconds,
        },
    )
