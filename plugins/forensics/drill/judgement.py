"""Whether a drill's case did what cases are for: one line for each thing that has to be true. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime

from forensics.case.board_line import stage_times
from forensics.models.case import CaseStatus, CaseView
from forensics.models.containment import ContainmentState
from forensics.models.custody import CustodyAction
from forensics.models.drill import DrillCheck, DrillReport, DrillRun, Planted
from forensics.models.evidence import EvidenceKind, Outcome

_CONTAINED = {ContainmentState.NEW_FLOWS_BLOCKED, ContainmentState.ALL_FLOWS_VERIFIED}
_LOOK = "open the drill's case: What is missing and What to do next name the step and the cause"


def judge(view: CaseView, run: DrillRun, *, ledger: str) -> list[DrillCheck]:
    """The lines about the case itself.

    :param ledger: why the custody ledger's chain or its newest signature was not verified; empty where both were
    """
    return [
        *planted(view, run.planted),
        _memory(view),
        _disks(view),
        _contained(view),
        _reported(view),
        _check("custody verified", not ledger, ledger or f"{len(view.custody)} events, chain and signature", _LOOK),
        _marked(view),
        _closed(view),
    ]


def planted(view: CaseView, wanted: Sequence[Planted]) -> list[DrillCheck]:
    """One line for each planted artefact: what the tools found of it. Without a list nothing can be found, which fails."""
    if not wanted:
        why = "the launch template names nothing that it plants (tags forensics:planted-…)"
        return [_check("planted artefacts", False, why, "deploy the stack forensics-drill again")]
    said = list(_said(view))
    lines = []
    for item in wanted:
        where = [name for name, text in said if item.text in text]
        known = f"{len(where)} places, first {where[0]}" if where else f"no tool says {item.text!r}"
        lines.append(_check(f"{item.kind} found", bool(where), known, f"{_LOOK}; a rule may no longer see it"))
    return lines


def _said(view: CaseView) -> Iterator[tuple[str, str]]:
    """Where and what: each finding, and each process of a tree with its connections. Timelines do not count: they judge nothing."""
    for result in view.results:
        for found in result.findings:
            text = " ".join((found.title, found.detail, found.source, json.dumps(found.data, ensure_ascii=False)))
            yield f"finding {found.id} of {result.tool} on {result.evidence_id}", text
        for process in result.process_tree:
            text = " ".join((process.name, process.args, process.exe, *process.connections))
            yield f"process {process.pid} of {result.evidence_id}", text


def _check(name: str, passed: bool, detail: str, action: str) -> DrillCheck:
    return DrillCheck(name=name, passed=passed, detail=detail[:1000], next_action="" if passed else action[:1000])


def _memory(view: CaseView) -> DrillCheck:
    found = [e for e in view.evidence if e.kind is EvidenceKind.MEMORY]
    good = bool(found) and all(e.outcome is Outcome.ACQUIRED for e in found)
    said = "; ".join(f"{e.evidence_id}: {e.outcome.value}{f', {e.reason}' if e.reason else ''}" for e in found)
    return _check("memory captured", good, said or "no capture is recorded", _LOOK)


def _disks(view: CaseView) -> DrillCheck:
    found = [e for e in view.evidence if e.kind is EvidenceKind.DISK]
    good = bool(found) and all(e.outcome is Outcome.ACQUIRED for e in found)
    said = "; ".join(f"{e.evidence_id}: {e.outcome.value}{f', {e.reason}' if e.reason else ''}" for e in found)
    return _check("disks copied", good, said or "no disk is recorded", _LOOK)


def _contained(view: CaseView) -> DrillCheck:
    state = view.containment.state if view.containment else None
    said = state.value if state else "no containment is recorded"
    return _check("contained", state in _CONTAINED, said, f"{_LOOK}; a real target would still be reachable")


def _reported(view: CaseView) -> DrillCheck:
    written = any(event.action is CustodyAction.REPORT_WRITTEN for event in view.custody)
    stored = [uri for uri in view.objects if uri.endswith(".html")]
    return _check("report written", written and bool(stored), stored[-1] if stored else "no report is stored", _LOOK)


def _marked(view: CaseView) -> DrillCheck:
    opened = [e for e in view.custody if e.action is CustodyAction.CASE_OPENED]
    ledger = any(e.detail.get("drill") is True for e in opened)
    said = "case and ledger say so" if view.case.drill and ledger else "case or ledger does not say so"
    why = "a finding that the drill did not make joined its case: look at the canary as at any instance"
    return _check("marked as a drill", view.case.drill and ledger, said, why)


def _closed(view: CaseView) -> DrillCheck:
    return _check("closed without gaps", view.case.status is CaseStatus.CLOSED, view.case.status.value, _LOOK)


def report(run: DrillRun, view: CaseView | None, checks: Sequence[DrillCheck], *, at: datetime) -> DrillReport:
    """The report of a drill, with the times of its case."""
    seconds: dict[str, float] = {}
    if run.ready_at:
        seconds["canary ready"] = (run.ready_at - run.at).total_seconds()
    if view is not None:
        seconds |= {stage.value: value for stage, value in stage_times(view).items()}
        if view.case.closed_at and view.case.received_at:
            seconds["closed"] = (view.case.closed_at - view.case.received_at).total_seconds()
    return DrillReport(name=run.name, case_id=run.case_id, at=at, checks=tuple(checks), seconds=seconds)
