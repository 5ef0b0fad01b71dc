"""The first screen in sentences."""

from __future__ import annotations

import pytest

from forensics.models.case import CaseStatus, CaseView
from forensics.models.gaps import Gap, GapKind
from forensics.report import headline, render_html
from forensics.report.next_steps import next_steps
from tests.unit.report import sample
from tests.unit.report.test_hostile import check


@pytest.fixture(scope="module")
def view() -> CaseView:
    """Everything at once."""
    return sample.rich_view()


def test_a_changed_custody_event_is_reported(view: CaseView) -> None:
    forged = view.custody[3].model_copy(update={"actor": "somebody else"})
    broken = view.model_copy(update={"custody": (*view.custody[:3], forged, *view.custody[4:])})
    assert headline.chain_check(broken).intact is False
    assert next_steps(broken)[0].urgent
    assert "chain NOT intact" in check(render_html(broken)).text


def test_a_removed_last_event_is_reported_except_that_an_open_case_may_have_moved_on(view: CaseView) -> None:
    shorter = view.model_copy(update={"custody": view.custody[:-1]})
    assert headline.chain_check(shorter).intact is False
    still_open = shorter.model_copy(update={"case": sample.case(status=CaseStatus.OPEN)})
    assert headline.chain_check(still_open).intact is None


@pytest.mark.parametrize(
    ("gaps", "pending", "words"),
    [(0, 0, "no gap recorded"), (1, 0, "1 gap"), (2, 0, "2 gaps"), (0, 1, "no gap recorded, 1 item pending")],
)
def test_gaps_are_counted_in_words(gaps: int, pending: int, words: str) -> None:
    gap = Gap(kind=GapKind.STEP, subject="s", why="w", next_action="n")
    assert headline.gaps_sentence([gap] * gaps, [gap] * pending) == words


def test_sentences_of_evidence_and_findings(view: CaseView) -> None:
    assert headline.evidence_sentence(view).startswith("2 of 4 pieces of evidence acquired; 1 PARTIAL, 1 FAILED.")
    assert headline.findings_sentence(view) == "20 findings from the tools: 2 critical, 1 high, 1 low, 16 info."
    assert headline.findings_sentence(sample.empty_view()) == "No tool results are recorded."
