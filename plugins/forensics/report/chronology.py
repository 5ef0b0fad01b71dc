"""Times: the key moments of a case and the one timeline that everything is merged into."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from forensics.models.base import format_utc
from forensics.models.case import CaseView, Milestone, TimelineKind
from forensics.report.text import flat, seconds_between

TOOL_KIND = "tool"
KEY_TIMES = {
    Milestone.FINDING_EVENT: "Finding event (the finding's own time)",
    Milestone.RECEIVED: "Received",
    Milestone.OPENED: "Case opened",
    Milestone.TRIAGED: "Triaged",
    Milestone.FIRST_VOLATILE_BYTE: "First byte of memory",
    Milestone.MEMORY_COMPLETE: "Memory complete",
    Milestone.SNAPSHOTS_STARTED: "Snapshots started",
    Milestone.SNAPSHOTS_COMPLETE: "Snapshots complete",
    Milestone.COPIES_COMPLETE: "Copies complete",
    Milestone.CONTAINED: "Contained (as the containment state says)",
    Milestone.INVESTIGATION_STARTED: "Investigation started",
    Milestone.INVESTIGATION_COMPLETE: "Investigation complete",
    Milestone.REPORTED: "Reported",
    Milestone.CLOSED: "Closed",
}
FOLD_TOOL_RUN = 8
FOLD_CASE_RUN = 40
MAX_ENTRIES = 2_000
MAX_TEXT = 1_000_000  # characters


@dataclass(frozen=True)
class KeyTime:
    """One milestone; seconds are counted from the finding's event and from its receipt."""

    name: str
    label: str
    at: datetime | None
    since_event: float | None
    since_received: float | None


class Moment(NamedTuple):
    """One line of the merged timeline; a tuple, of which a page may make a hundred thousand."""

    time: datetime
    kind: str
    what: str
    source: str
    evidence_id: str | None = None

    @property
    def key(self) -> str:
        """Stable and unique for the content: the cursor of the timeline API. Only for what is handed out, since a page has a hundred thousand."""
        text = "\x1f".join((self.kind, self.what, self.source, self.evidence_id or ""))
        digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
        return f"{format_utc(self.time)}~{digest[:16]}"


@dataclass(frozen=True)
class Stretch:
    """Consecutive lines of the timeline; ``folded`` ones are shown closed, with their number and span."""

    folded: bool
    from_tools: bool
    moments: tuple[Moment, ...]


def key_times(view: CaseView) -> list[KeyTime]:
    """Every milestone in order, recorded or not; milestones of unknown name follow.

    The report is written before the case is closed: that time is shown when there is one.
    """
    times = dict(view.milestones)
    times.setdefault(Milestone.OPENED, view.case.opened_at)
    if view.containment and view.containment.contained_at:
        times.setdefault(Milestone.CONTAINED, view.containment.contained_at)
    if view.case.closed_at:
        times.setdefault(Milestone.CLOSED, view.case.closed_at)
    event, received = times.get(Milestone.FINDING_EVENT), times.get(Milestone.RECEIVED)
    labels = {m.value: label for m, label in KEY_TIMES.items()}
    labels |= {name: name for name in sorted(times) if name not in labels}
    if Milestone.CLOSED not in times:
        del labels[Milestone.CLOSED]
    return [
        KeyTime(name, label, at, seconds_between(event, at), seconds_between(received, at))
        for name, label in labels.items()
        for at in [times.get(name)]
    ]


def merged(view: CaseView) -> list[Moment]:
    """Everything that has a time, on one UTC axis; what the store recorded twice is shown once."""
    own = [Moment(e.time, e.kind.value, e.what, e.source, e.evidence_id) for e in view.timeline]
    taken = {(m.time, m.kind) for m in own}
    derived = [m for m in _derived(view) if (m.time, m.kind) not in taken]
    # In the order in which they come: each source has its own in order already, which leaves little to sort.
    return sorted(dict.fromkeys([*own, *derived, *_from_tools(view)]), key=_order)


def _order(moment: Moment) -> tuple[datetime, str, str, str, str]:
    # Times that models read have each a time zone of its own, which makes a comparison ten times as long.
    return moment.time.astimezone(UTC), moment.kind, moment.what, moment.source, moment.evidence_id or ""


def _derived(view: CaseView) -> Iterable[Moment]:
    for finding in view.findings:
        if finding.created_at:
            yield Moment(finding.created_at, TimelineKind.FINDING.value, finding.title, finding.source.value)
    for event in view.custody:
        what = event.action.value + (f" ({flat(event.detail)})" if event.detail else "")
        yield Moment(event.at, TimelineKind.CUSTODY.value, what, event.actor, event.evidence_id)
    for failure in view.failures:
        yield Moment(failure.at, TimelineKind.FAILURE.value, f"{failure.step} failed: {failure.cause}", failure.step)


def _from_tools(view: CaseView) -> Iterable[Moment]:
    for result in view.results:
        for entry in result.timeline:
            yield Moment(entry.time, TOOL_KIND, entry.what, entry.source or result.tool, result.evidence_id)
        known = {(e.time, e.what) for e in result.timeline}
        for finding in result.findings:
            if finding.time and (finding.time, finding.title) not in known:
                what = f"{finding.severity.value}: {finding.title}"
                yield Moment(finding.time, TOOL_KIND, what, finding.source or result.tool, result.evidence_id)


def shown(moments: Sequence[Moment]) -> list[Moment]:
    """The first entries, as many as a page holds."""
    found: list[Moment] = []
    room = MAX_TEXT
    for moment in moments[:MAX_ENTRIES]:
        room -= len(moment.what) + len(moment.source)
        if room < 0:
            break
        found.append(moment)
    return found


def stretches(moments: Sequence[Moment]) -> list[Stretch]:
    """Split the axis into runs from the tools and from the case; long runs are folded, none is reordered."""
    runs: list[list[Moment]] = []
    for moment in moments:
        if runs and (runs[-1][0].kind == TOOL_KIND) == (moment.kind == TOOL_KIND):
            runs[-1].append(moment)
        else:
            runs.append([moment])
    return [
        Stretch(len(run) > (FOLD_TOOL_RUN if from_tools else FOLD_CASE_RUN), from_tools, tuple(run))
        for run in runs
        for from_tools in [run[0].kind == TOOL_KIND]
    ]
