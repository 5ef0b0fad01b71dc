"""The timeline as a picture: how much happened when, by source, with the gravest findings marked. Numbers for an SVG. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from itertools import pairwise
from math import sqrt

from forensics.models.case import CaseView
from forensics.models.results import ResultSeverity
from forensics.printable import count
from forensics.report.chronology import TOOL_KIND, Moment

WIDTH, HEIGHT, TOP = 960, 120, 16  # of the drawing, in its own units; TOP is the room for marks
MOST_BARS, MOST_MARKS = 60, 40
_STEPS = tuple(
    timedelta(seconds=s)
    for s in (1, 5, 15, 60, 300, 900, 3600, 6 * 3600, 86400, 7 * 86400, 30 * 86400, 365 * 86400, 3650 * 86400)
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GRAVE = (ResultSeverity.CRITICAL, ResultSeverity.HIGH)


@dataclass(frozen=True)
class Bar:
    """One span of time: ``own`` entries of the case, ``tools`` of the tools; the rectangles in the drawing's units."""

    since: datetime
    until: datetime
    own: int
    tools: int
    x: float
    width: float
    own_height: float
    tools_height: float

    @property
    def words(self) -> str:
        """What the bar says."""
        return f"{self.since:%Y-%m-%d %H:%M:%S}Z: {self.own} from the case, {self.tools} from tools"


@dataclass(frozen=True)
class Mark:
    """A grave finding at its time."""

    x: float
    words: str


@dataclass(frozen=True)
class Histogram:
    """The whole picture; ``first`` and ``last`` are its ends, ``words`` what it says to somebody who cannot see it."""

    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]
    first: datetime
    last: datetime
    step: timedelta
    words: str
    width: int = WIDTH
    height: int = HEIGHT


def histogram(view: CaseView, moments: Sequence[Moment]) -> Histogram | None:
    """The picture of these entries, in order of time; None when there are fewer than two moments to tell apart."""
    if not moments or moments[0].time == moments[-1].time:
        return None
    step = _step(moments[-1].time - moments[0].time)
    first = _floor(moments[0].time, step)
    number = (moments[-1].time - first) // step + 1
    ends = [first + n * step for n in range(number + 1)]
    tools = _between(ends, [m.time for m in moments if m.kind == TOOL_KIND])
    own = _between(ends, [m.time for m in moments if m.kind != TOOL_KIND])
    most = max(map(sum, zip(own, tools, strict=True)))
    each = WIDTH / number
    bars = [
        _bar(ends[n], step, own=own[n], tools=tools[n], x=n * each, width=each, most=most)
        for n in range(number)
        if own[n] + tools[n]
    ]
    last = first + number * step
    marks = _marks(view, first=first, last=last)
    words = (
        f"{count(len(moments), 'entry', 'entries')} from {first:%Y-%m-%d %H:%M}Z to {last:%Y-%m-%d %H:%M}Z: {sum(own)} from the case, "
        f"{sum(tools)} from tools; the fullest span ({_span(step)}) has {most}; {count(len(marks), 'grave finding')} marked"
    )
    return Histogram(tuple(bars), marks, first, last, step, words)


def _between(ends: Sequence[datetime], times: Sequence[datetime]) -> list[int]:
    """How many of the times, which are in order, are from each end to the next."""
    places = [bisect_left(times, end) for end in ends]
    return [after - before for before, after in pairwise(places)]


def _bar(since: datetime, step: timedelta, *, own: int, tools: int, x: float, width: float, most: int) -> Bar:
    # The square root: one entry is still seen beside a thousand.
    whole = (HEIGHT - TOP) * sqrt((own + tools) / most)
    share = own / (own + tools)
    return Bar(
        since,
        since + step,
        own,
        tools,
        round(x, 2),
        round(max(width - 1, 1), 2),
        round(whole * share, 2),
        round(whole * (1 - share), 2),
    )


def _step(span: timedelta) -> timedelta:
    return next((step for step in _STEPS if span / step <= MOST_BARS - 1), _STEPS[-1])


def _floor(moment: datetime, step: timedelta) -> datetime:
    return _EPOCH + (moment - _EPOCH) // step * step


def _marks(view: CaseView, *, first: datetime, last: datetime) -> tuple[Mark, ...]:
    found = nsmallest(
        MOST_MARKS,
        (f for r in view.results for f in r.findings if f.time and f.severity in _GRAVE and first <= f.time < last),
        key=lambda f: (_GRAVE.index(f.severity), f.time),
    )
    whole = (last - first).total_seconds()
    return tuple(
        Mark(
            round(WIDTH * (f.time - first).total_seconds() / whole, 2),
            f"{f.time:%Y-%m-%d %H:%M:%S}Z {f.severity.value}: {f.title}",
        )
        for f in found
        if f.time
    )


def _span(step: timedelta) -> str:
    """The width of a bar in words."""
    seconds = int(step.total_seconds())
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return count(seconds // size, word)
    return count(seconds, "second")
