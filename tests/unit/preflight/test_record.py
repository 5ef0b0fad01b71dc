"""A preflight's result is kept by part, counted, and told to people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forensics.aws.case_store import CaseStore
from forensics.aws.cloudwatch import Metrics
from forensics.aws.sns import Notifier
from forensics.models.preflight import CheckResult, CheckStatus, PreflightReport
from forensics.preflight.record import announce, last_reports, record_report
from tests.unit.builders import NOW
from tests.unit.preflight.conftest import FakeHook, Items

Answering = Callable[[type, Any], None]


class Numbers:
    """Metrics that are kept."""

    def __init__(self) -> None:
        self.sent: dict[str, float] = {}

    def put(self, numbers: dict[str, float]) -> None:
        self.sent |= numbers


def report(part: str, *statuses: CheckStatus) -> PreflightReport:
    lines = [
        CheckResult(check="reach", subject="sts", status=s, detail="closed", next_action="open it") for s in statuses
    ]
    return PreflightReport.of(lines, run="r", part=part, at=NOW, seconds=3)


def test_the_last_report_of_each_part_is_kept_and_counted(hook: FakeHook, answering: Answering) -> None:
    items, numbers = Items(), Numbers()
    answering(CaseStore, items)
    answering(Metrics, numbers)
    for made in (report("quick", CheckStatus.BROKEN), report("full", CheckStatus.OK), report("quick", CheckStatus.OK)):
        record_report(hook, made)  # type: ignore[arg-type]
    assert {r.part: r.broken for r in last_reports(items)} == {"quick": (), "full": ()}  # type: ignore[arg-type]
    assert numbers.sent == {"PreflightBroken": 0, "PreflightNotTried": 0}


def test_a_message_names_each_broken_line_with_its_next_action(hook: FakeHook, answering: Answering) -> None:
    sent: dict[str, Any] = {}

    class Topic:
        def publish(self, **message: Any) -> None:
            sent.update(message)

    answering(Notifier, Topic())
    announce(hook, report("quick", CheckStatus.BROKEN, CheckStatus.OK))  # type: ignore[arg-type]
    assert sent["subject"] == "Forensic preflight: 1 broken, 1 in order, 0 not tried"
    assert sent["lines"] == ["reach sts: closed\n  Next: open it"]
