"""The pass/fail list: every line can fail, and fails for its own reason alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from forensics.drill.judgement import judge, planted, report
from forensics.models.case import CaseStatus, CaseView
from forensics.models.containment import ContainmentState
from forensics.models.custody import CustodyAction
from forensics.models.drill import DrillRun, Planted
from forensics.models.evidence import EvidenceKind, Outcome
from tests.unit.report import sample
from tests.unit.report.sample_parts import ACCOUNT, CASE_ID, REGION, at

ASKED = (Planted(kind="process", text="kworker"),)


def run(**changes: Any) -> DrillRun:
    values = {
        "name": "a" * 16,
        "at": at(0),
        "account_id": ACCOUNT,
        "region": REGION,
        "planted": ASKED,
        "case_id": CASE_ID,
    }
    return DrillRun(**{**values, **changes})


def good() -> CaseView:
    """A drill's case that did everything."""
    view = sample.rich_view()
    custody = tuple(
        e.model_copy(update={"detail": {**e.detail, "drill": True}}) if e.action is CustodyAction.CASE_OPENED else e
        for e in view.custody
    )
    if not any(e.action is CustodyAction.REPORT_WRITTEN for e in custody):
        custody = (*custody, custody[-1].model_copy(update={"action": CustodyAction.REPORT_WRITTEN}))
    assert view.containment is not None
    return view.model_copy(
        update={
            "case": view.case.model_copy(
                update={"drill": True, "status": CaseStatus.CLOSED, "received_at": view.case.opened_at}
            ),
            "custody": custody,
            "evidence": tuple(e.model_copy(update={"outcome": Outcome.ACQUIRED}) for e in view.evidence),
            "containment": view.containment.model_copy(update={"state": ContainmentState.NEW_FLOWS_BLOCKED}),
            "objects": (f"s3://evidence/cases/{CASE_ID}/report/report.html",),
        }
    )


def failed(view: CaseView, *, ledger: str = "", **changes: Any) -> list[str]:
    lines = judge(view, run(**changes), ledger=ledger)
    assert all(bool(line.next_action) is not line.passed for line in lines), "who reads a failure learns what to do"
    return [line.name for line in lines if not line.passed]


def text_of(view: CaseView) -> str:
    finding = view.results[0].findings[0]
    return finding.title[:20]


def test_a_good_case_passes() -> None:
    view = good()
    assert failed(view, planted=(Planted(kind="process", text=text_of(view)),)) == []


def without(view: CaseView, kind: EvidenceKind) -> CaseView:
    return view.model_copy(update={"evidence": tuple(e for e in view.evidence if e.kind is not kind)})


BAD: dict[str, Any] = {
    "memory captured": lambda v: without(v, EvidenceKind.MEMORY),
    "disks copied": lambda v: without(v, EvidenceKind.DISK),
    "contained": lambda v: v.model_copy(update={"containment": None}),
    "report written": lambda v: v.model_copy(update={"objects": ()}),
    "marked as a drill": lambda v: v.model_copy(update={"case": v.case.model_copy(update={"drill": False})}),
    "closed without gaps": lambda v: v.model_copy(
        update={"case": v.case.model_copy(update={"status": CaseStatus.CLOSED_WITH_GAPS})}
    ),
    "process found": lambda v: v.model_copy(update={"results": ()}),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_each_line_fails_for_its_own_reason_alone(name: str) -> None:
    view = good()
    assert failed(BAD[name](view), planted=(Planted(kind="process", text=text_of(view)),)) == [name]


def test_a_ledger_that_is_not_whole_fails_the_drill() -> None:
    view = good()
    asked = (Planted(kind="process", text=text_of(view)),)
    assert failed(view, ledger="event 3 is not the one that the head names", planted=asked) == ["custody verified"]


def test_containment_that_failed_is_none() -> None:
    view = good()
    assert view.containment is not None
    bad = view.containment.model_copy(update={"state": ContainmentState.FAILED})
    found = failed(view.model_copy(update={"containment": bad}), planted=(Planted(kind="file", text=text_of(view)),))
    assert found == ["contained"]


def test_a_template_that_names_nothing_fails() -> None:
    (line,) = planted(good(), ())
    assert not line.passed and "names nothing that it plants" in line.detail


def test_the_report_has_the_times_and_one_sentence() -> None:
    view = good()
    checks = judge(view, run(planted=(Planted(kind="process", text=text_of(view)),)), ledger="")
    found = report(run(ready_at=at(0) + timedelta(seconds=40)), view, checks, at=at(9))
    assert found.seconds["canary ready"] == 40 and found.seconds["closed"] > found.seconds["opened"] >= 0
    assert found.headline == f"drill passed: {len(checks)} of {len(checks)} checks passed" and not found.failed
    nothing = report(run(), None, [c.model_copy(update={"passed": False}) for c in checks[:1]], at=at(9))
    assert nothing.seconds == {} and nothing.headline == "drill FAILED: 0 of 1 checks passed"
