"""The timeline's picture: every entry is in one bar, the gravest findings are marked where they happened."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from forensics.report import chronology, render_html
from forensics.report.chronology import Moment
from forensics.report.histogram import HEIGHT, MOST_BARS, WIDTH, histogram
from tests.unit.builders import NOW, view
from tests.unit.report import sample


def moments(*seconds: float, kind: str = "tool") -> list[Moment]:
    return [Moment(NOW + timedelta(seconds=s), kind, f"entry {n}", "source") for n, s in enumerate(sorted(seconds))]


@pytest.mark.parametrize("span", [0.5, 3, 59, 60, 3_599, 90_000, 86_400 * 400, 86_400 * 365 * 40])
def test_every_entry_is_in_exactly_one_bar_whatever_the_span(span: float) -> None:
    entries = moments(0, span / 3, span / 2, span)
    made = histogram(view(), entries)
    assert made is not None
    assert sum(bar.own + bar.tools for bar in made.bars) == 4
    for entry in entries:
        assert sum(bar.since <= entry.time < bar.until for bar in made.bars) == 1
    assert (made.last - made.first) / made.step <= MOST_BARS + 1
    assert all(
        0 <= bar.x < WIDTH and bar.x + bar.width <= WIDTH + 1 and bar.own_height + bar.tools_height <= HEIGHT
        for bar in made.bars
    )


def test_a_single_moment_is_no_picture() -> None:
    assert histogram(view(), []) is None and histogram(view(), moments(0, 0)) is None


def test_one_entry_is_seen_beside_a_thousand() -> None:
    made = histogram(view(), moments(*[0] * 1_000, 3_000))
    assert made is not None and made.bars[-1].tools_height > 2


def test_grave_findings_are_marked_and_the_picture_says_itself_in_words() -> None:
    whole = sample.rich_view()
    made = histogram(whole, chronology.merged(whole))
    assert made is not None
    grave = [f for r in whole.results for f in r.findings if f.time and f.severity.value in {"critical", "high"}]
    assert grave and len(made.marks) == len(grave)
    page = render_html(whole)
    assert page.count('<path class="mark"') == len(grave)
    assert re.search(r'<svg [^>]*role="group" aria-label="\d+ entries from [^"]+ marked"', page)
