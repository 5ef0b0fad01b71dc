"""How long cases took from their reception: percentiles over all cases, for people and programs. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from forensics.models.board import Entry, Stage

# What a responder waits for: an answer within five minutes of the finding's reception.
AIM_SECONDS = {Stage.ANSWERED: 300.0}
STAGE_WORDS = {
    Stage.OPENED: "case open",
    Stage.CONTAINED: "target contained",
    Stage.ANSWERED: "first results of a tool",
    Stage.REPORTED: "report stored",
}
WINDOWS = {"7 days": timedelta(days=7), "30 days": timedelta(days=30), "90 days": timedelta(days=90), "all": None}


@dataclass(frozen=True)
class StageTimes:
    """Seconds from reception to a stage, over the ``cases`` that reached it; ``within``: how many of them within the aim."""

    stage: Stage
    words: str
    cases: int
    p50: float | None
    p95: float | None
    most: float | None
    aim: float | None = None
    within: int | None = None


@dataclass(frozen=True)
class WindowTimes:
    """The stages of the cases that were opened within a span; ``untimed`` have no times (they are older than this, or no step has ended)."""

    window: str
    cases: int
    untimed: int
    stages: tuple[StageTimes, ...]


def percentile(values: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile: the smallest value that at least ``share`` of the values do not exceed; None of no value."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def response_times(entries: Sequence[Entry], now: datetime) -> list[WindowTimes]:
    """The times of all windows; samples and drills are left out."""
    real = [entry for entry in entries if not (entry.case.sample or entry.case.drill)]
    return [
        _window(name, [e for e in real if span is None or now - e.case.opened_at <= span])
        for name, span in WINDOWS.items()
    ]


def _window(name: str, entries: Sequence[Entry]) -> WindowTimes:
    timed = [entry.line.times for entry in entries if entry.line and entry.line.times]
    return WindowTimes(name, len(entries), len(entries) - len(timed), tuple(_stage(stage, timed) for stage in Stage))


def _stage(stage: Stage, timed: Sequence[dict[Stage, float]]) -> StageTimes:
    values = [times[stage] for times in timed if stage in times]
    aim = AIM_SECONDS.get(stage)
    return StageTimes(
        stage=stage,
        words=STAGE_WORDS[stage],
        cases=len(values),
        p50=percentile(values, 0.5),
        p95=percentile(values, 0.95),
        most=max(values, default=None),
        aim=aim,
        within=None if aim is None else sum(value <= aim for value in values),
    )
