"""Addresses and rows of the pages."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forensics.models.artifact import artifact_of
from forensics.models.board import Entry
from forensics.models.case import CaseStatus, CaseView
from forensics.models.plan import Action, Decision
from forensics.web.board import BoardQuery, select
from forensics.web.pages import BoardRow, Site, age_words, board_page, board_row, message_page
from tests.unit.builders import IMAGE, NOW, case, plan
from tests.unit.report import sample
from tests.unit.report.test_hostile import check


def shown(row: BoardRow) -> str:
    """The board with one row."""
    entry, asked = Entry(row.case), BoardQuery()
    return board_page([row], select([entry], asked, NOW), asked=asked, site=SITE, as_of=NOW, refresh=30)


SITE = Site(root="/airflow/forensics", airflow="/airflow")


def test_addresses_are_quoted() -> None:
    assert SITE.board() == "/airflow/forensics/"
    asked = BoardQuery(q="a b&c", sort="needs")
    assert asked.address(SITE.board(), limit=5) == "/airflow/forensics/?q=a+b%26c&sort=needs&limit=5"
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
    row = board_row(Entry(view.case), view=view, problem=None, site=SITE, now=NOW)
    page = check(shown(row))
    assert words in page.text


def test_a_case_that_cannot_be_read_has_a_row_that_says_why() -> None:
    row = board_row(Entry(sample.case()), view=None, problem="AccessDenied: ask", site=SITE, now=NOW)
    page = check(shown(row)).text
    assert "AccessDenied: ask" in page and "none recorded" not in page


def test_the_row_of_an_artifact_says_what_it_is_and_that_containment_does_not_apply() -> None:
    about = sample.case(instance_id=IMAGE, artifact=artifact_of(IMAGE))
    never = Decision(action=Action.ISOLATE, wanted=False, possible=False, applies=False, reasons=("it is no machine",))
    view = sample.rich_view(case=about, plan=plan().model_copy(update={"isolate": never}), containment=None)
    page = check(shown(board_row(Entry(about), view=view, problem=None, site=SITE, now=NOW))).text
    assert IMAGE in page and "machine image: no machine" in page and "not applicable" in page


def test_a_message_says_what_why_and_what_next() -> None:
    page = check(message_page("Title", what=sample.HOSTILE[0], why="because", next_action="do this")).text
    assert page.index("<script>hostile()</script>") < page.index("because") < page.index("do this")


@pytest.mark.parametrize(
    ("status", "opened", "closed", "words"),
    [
        (CaseStatus.OPEN, 41, None, "open for 41 min"),
        (CaseStatus.OPEN, 185, None, "open for 3 h 5 min"),
        (CaseStatus.CLOSED, 60 * 24 * 12, 60 * 24 * 12 - 35, "12 d ago, took 35 min"),
        (CaseStatus.FAILED, 90, None, "1 h 30 min ago"),
    ],
)
def test_a_row_says_how_old_a_case_is_and_how_long_it_took(
    status: CaseStatus, opened: int, closed: int | None, words: str
) -> None:
    ended = None if closed is None else NOW - timedelta(minutes=closed)
    about = case(status=status, opened_at=NOW - timedelta(minutes=opened), closed_at=ended)
    assert age_words(about, NOW) == words
