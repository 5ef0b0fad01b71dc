"""Addresses and rows of the pages."""

from __future__ import annotations

import pytest

from forensics.models.case import CaseView
from forensics.web.pages import Site, board_page, board_row, message_page
from tests.unit.report import sample
from tests.unit.report.test_hostile import check

SITE = Site(root="/airflow/forensics", airflow="/airflow")


def test_addresses_are_quoted() -> None:
    assert SITE.board() == "/airflow/forensics/"
    assert SITE.board("a/b", 5) == "/airflow/forensics/?limit=5&cursor=a%2Fb"
    assert SITE.case("fc/..") == "/airflow/forensics/case/fc%2F.."
    assert SITE.run("manual__1+0") == "/airflow/dags/forensic_case/runs/manual__1%2B0"


def test_the_tab_on_a_run_does_not_link_to_the_run() -> None:
    case = sample.case(run_id="r")
    assert [link.label for link in SITE.case_links(case)] == ["All cases", "JSON", "Timeline as JSON", "DAG run"]
    assert "DAG run" not in [link.label for link in SITE.case_links(case, with_run=False)]
    assert "DAG run" not in [link.label for link in SITE.case_links(sample.case(run_id=None))]


@pytest.mark.parametrize(
    ("view", "words"),
    [(sample.rich_view(), "8 gaps"), (sample.running_view(), "1 gap"), (sample.complete_view(), "none recorded")],
    ids=["gaps", "one gap", "none"],
)
def test_a_row_says_how_many_gaps_a_case_has(view: CaseView, words: str) -> None:
    row = board_row(view.case, view=view, problem=None, site=SITE)
    page = check(board_page([row], older=None, newest=None, refresh=30))
    assert words in page.text


def test_a_case_that_cannot_be_read_has_a_row_that_says_why() -> None:
    row = board_row(sample.case(), view=None, problem="AccessDenied: ask", site=SITE)
    page = check(board_page([row], older=None, newest=None, refresh=30)).text
    assert "AccessDenied: ask" in page and "none recorded" not in page


def test_a_message_says_what_why_and_what_next() -> None:
    page = check(message_page("Title", what=sample.HOSTILE[0], why="because", next_action="do this")).text
    assert page.index("<script>hostile()</script>") < page.index("because") < page.index("do this")
