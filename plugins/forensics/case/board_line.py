"""Keeps the line by which lists find a case: written when a step of it ends, from the same view as the board and the pages."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.aws.case_store import CaseStore
from forensics.case.containment_summary import describe
from forensics.case.gaps import gap_count
from forensics.case.view import read_board
from forensics.models.board import BoardLine, Stage
from forensics.models.case import CaseView, Milestone

# Tags by which people say whose a machine is; the first that is there counts.
OWNER_TAGS = ("Owner", "owner", "Team", "team")


def board_line(view: CaseView, *, drifted: bool, now: datetime) -> BoardLine:
    """The line of a case; of the view's milestones it takes that of the report. Pure."""
    contained = describe(view)
    open_questions = [a for a in (view.approval, view.release_approval) if a is not None and a.open]
    tags = view.target.tags if view.target else view.artifact.tags if view.artifact else {}
    assigned = view.assignment
    taken_by = assigned.owner if assigned else ""
    return BoardLine(
        contained=contained.short[:60],
        gaps=gap_count(view),
        playbook=(view.plan.playbook or "")[:60] if view.plan else "",
        owner=(taken_by or next((tags[name] for name in OWNER_TAGS if tags.get(name)), ""))[:100],
        tags=assigned.tags if assigned else (),
        asks=bool(open_questions),
        until=min((a.until for a in open_questions if a.until), default=None),
        acts=contained.act is not None,
        drifted=drifted and not view.released,
        times=stage_times(view),
        at=now,
    )


def stage_times(view: CaseView) -> dict[Stage, float]:
    """Seconds from the reception (of the finding, or of a person's request) to each stage that the case has reached.

    *Answered*: the first results of a tool, those of the live response too, are there.
    """
    case = view.case
    results = [item.ended_at for item in view.investigations if item.succeeded and item.ended_at]
    reached = {
        Stage.OPENED: case.opened_at,
        Stage.CONTAINED: view.containment.contained_at if view.containment else None,
        Stage.ANSWERED: min(results, default=None),
        Stage.REPORTED: view.milestones.get(Milestone.REPORTED),
    }
    began = case.received_at or case.opened_at
    return {stage: max(0.0, (at - began).total_seconds()) for stage, at in reached.items() if at}


def keep_line(store: CaseStore, case_id: str) -> None:
    """Write the line of a case as it is now. Raises :class:`ForensicsError`."""
    view, drift = read_board(store, case_id)
    drifted = isinstance(drift, dict) and bool(drift.get("items"))
    store.lines.put(case_id, board_line(view, drifted=drifted, now=datetime.now(UTC)))
