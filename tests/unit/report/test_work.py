"""The work for a page: what is made for each finding and entry is little, and what is shown is made once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from forensics.investigation import answers as answering
from forensics.investigation.answers import MAX_SENTENCES, answers
from forensics.models.case import CaseView
from forensics.models.results import ToolFinding, ToolTimelineEntry
from forensics.report import chronology, document, next_steps, page, render_html, render_json, sections
from forensics.report.page import Live
from forensics.report.sections import FOUND_SHOWN
from tests.unit.report import sample

SEVERITIES = ("critical", "high", "medium", "low", "info")


def crowded(findings: int, entries: int) -> CaseView:
    """The sample case with so much of a tool."""
    found = tuple(
        ToolFinding(id=f"{n:08x}", title=f"Finding {n}", severity=SEVERITIES[n % 5], time=sample.at(n), technique=f"T{1000 + n % 7}")
        for n in range(findings)
    )  # fmt: skip
    moments = tuple(ToolTimelineEntry(time=sample.at(n // 3), what=f"entry {n}") for n in range(entries))
    first = sample.rich_view().results[0].model_copy(update={"findings": found, "timeline": moments})
    return sample.complete_view(results=(first,))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each thing is made or asked for."""
    tally: Counter[str] = Counter()

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            tally[name] += 1
            return real(*args, **kwargs)

        return call

    for module in (page, document, next_steps):
        monkeypatch.setattr(module, "answers", counted("answers", answers))
    monkeypatch.setattr(sections, "FoundRow", counted("row", sections.FoundRow))
    monkeypatch.setattr(answering, "Sentence", counted("sentence", answering.Sentence))
    monkeypatch.setattr(answering, "matches", counted("pattern", answering.matches))
    monkeypatch.setattr(chronology, "merged", counted("timeline", chronology.merged))
    key = chronology.Moment.key
    monkeypatch.setattr(chronology.Moment, "key", property(counted("key", lambda moment: key.fget(moment))))
    return tally


@pytest.mark.parametrize("findings", [1_000, 3_000])
def test_what_is_made_for_a_page_is_bounded_by_the_page(made: Counter[str], findings: int) -> None:
    view = crowded(findings, 2 * findings)
    questions = len(view.plan.questions) if view.plan else 0
    assert questions
    html = render_html(view, live=Live(page="/case"))
    assert f"{findings - FOUND_SHOWN:,} less severe findings" in html
    assert made["answers"] == made["timeline"] == 1 and made["row"] == FOUND_SHOWN
    assert made["sentence"] <= questions * MAX_SENTENCES and made["key"] == 0
    assert made["pattern"] < 200, "texts that findings share are looked at once"


def test_the_json_report_answers_the_questions_once(made: Counter[str]) -> None:
    assert render_json(crowded(50, 50)) and made["answers"] == 1


def test_entries_of_the_same_moment_have_one_order_whatever_they_come_in() -> None:
    view = crowded(60, 300)
    turned = view.results[0].model_copy(
        update={"findings": view.results[0].findings[::-1], "timeline": view.results[0].timeline[::-1]}
    )
    moments = chronology.merged(view)
    assert moments == chronology.merged(view.model_copy(update={"results": (turned,)}))
    assert [m.time for m in moments] == sorted(m.time for m in moments)
    assert len(moments) == len({m.key for m in moments}), "none is there twice"
