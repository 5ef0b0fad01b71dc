"""HTML of the board and of messages, in the report's own style."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment

from forensics.case import containment_summary as containment
from forensics.case.addresses import board_view, case_page, run_page
from forensics.case.board_line import board_line
from forensics.case.gaps import gap_count
from forensics.models.board import Entry
from forensics.models.case import Case, CaseStatus, CaseView
from forensics.models.evidence import Outcome
from forensics.models.finding import Severity
from forensics.report import headline
from forensics.report.page import Link, environment
from forensics.web.board import (
    AGES,
    NEED_LEVEL,
    NEED_WORDS,
    PAGE_SIZES,
    SEVERITY_LEVEL,
    SORTS,
    BoardQuery,
    Selection,
)
from forensics.web.frame import policy, script


@dataclass(frozen=True)
class Site:
    """Addresses: ``root`` of these pages, ``airflow`` of Airflow's own UI, both without a closing slash."""

    root: str
    airflow: str

    def board(self) -> str:
        """Address of the board."""
        return f"{self.root}/"

    def intake(self) -> str:
        """Address of the page on the intake."""
        return f"{self.root}/intake"

    def audit(self) -> str:
        """Address of the page on the audit."""
        return f"{self.root}/audit"

    def times(self) -> str:
        """Address of the page on response times."""
        return f"{self.root}/times"

    def preflight(self) -> str:
        """Address of the preflight's page."""
        return f"{self.root}/preflight"

    def case(self, case_id: str) -> str:
        """Address of a case's page."""
        return case_page(self.root, case_id)

    def run(self, run_id: str) -> str:
        """Address of the DAG run in Airflow's UI."""
        return run_page(self.airflow, run_id)

    def case_links(self, case: Case, *, with_run: bool = True, with_links: bool = False) -> list[Link]:
        """Ways out of a case's page; the tab on the DAG run needs no link to that run."""
        api = f"{self.root}/api/cases/{case.case_id}"
        links = [
            # The tab of a run is no place for the board: there it opens where Airflow's menu has it.
            Link("All cases", self.board()) if with_run else Link("All cases", board_view(self.airflow), top=True),
            Link("JSON", api, top=True),
            Link("Timeline as JSON", f"{api}/timeline", top=True),
            *([Link("Linked cases", f"{self.case(case.case_id)}/incident")] if with_links else []),
        ]
        return [*links, Link("DAG run", self.run(case.run_id), top=True)] if case.run_id and with_run else links


@dataclass(frozen=True)
class BoardRow:
    """One case on the board; ``problem`` says why its details could not be read."""

    case: Case
    href: str
    run_href: str | None
    contained: containment.ContainmentSummary | None
    outcomes: tuple[tuple[str, str], ...]
    gap_count: int | None
    problem: str | None
    needs: tuple[tuple[str, str], ...] = ()
    until: datetime | None = None
    owner: str = ""
    tags: tuple[str, ...] = ()
    age: str = ""

    @property
    def status_level(self) -> str:
        """Level of the case's status."""
        return headline.STATUS_LEVEL[self.case.status]

    @property
    def severity_level(self) -> str:
        """Level of the case's severity."""
        return SEVERITY_LEVEL.get(self.case.severity.upper(), "idle")

    @property
    def level(self) -> str:
        """How the row is marked at its edge: by what it needs, or by the severity of a case that is being processed."""
        if self.needs:
            return self.needs[0][0]
        return self.severity_level if self.case.status is CaseStatus.OPEN else "idle"


def board_row(entry: Entry, *, view: CaseView | None, problem: str | None, site: Site, now: datetime) -> BoardRow:
    """A row of the board from the case and what could be read of it just now."""
    case = view.case if view else entry.case
    if view:
        known = board_line(view, drifted=bool(entry.line and entry.line.drifted), now=now)
        entry = Entry(case, known)
    tally = Counter(e.outcome for e in view.evidence) if view else Counter[Outcome]()
    return BoardRow(
        case=case,
        href=site.case(case.case_id),
        run_href=site.run(case.run_id) if case.run_id else None,
        contained=containment.describe(view) if view else None,
        gap_count=gap_count(view) if view else None,
        outcomes=tuple((headline.OUTCOME_LEVEL[o], f"{n} {o.value}") for o, n in sorted(tally.items())),
        problem=problem,
        needs=tuple((NEED_LEVEL[need], NEED_WORDS[need]) for need in entry.needs(now)),
        until=entry.line.until if entry.line and entry.line.asks else None,
        owner=entry.line.owner if entry.line else "",
        tags=entry.line.tags if entry.line else (),
        age=age_words(case, now),
    )


def age_words(case: Case, now: datetime) -> str:
    """How long ago a case was opened, and how long it was or has been worked on."""
    if case.ended and case.closed_at:
        return f"{ago(now - case.opened_at)} ago, took {ago(case.closed_at - case.opened_at)}"
    return f"open for {ago(now - case.opened_at)}" if not case.ended else f"{ago(now - case.opened_at)} ago"


def ago(span: timedelta) -> str:
    """A span in its largest units: ``41 min``, ``3 h 5 min``, ``12 d``."""
    minutes = max(0, int(span.total_seconds() // 60))
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = environment(Path(__file__).parent / "templates")
    made.globals |= {"script": script(), "policy": policy()}
    return made


def render(template: str, **values: object) -> str:
    """One of the pages' templates, filled."""
    page = _environment().get_template(template).render(**values)
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True)
class Beside:
    """Addresses of the other pages, where there are any; ``preflight``: address, level and words of its last result."""

    times: str = ""
    intake: str = ""
    audit: str = ""
    preflight: tuple[str, str, str] | None = None


def board_page(
    rows: Sequence[BoardRow],
    found: Selection,
    *,
    asked: BoardQuery,
    site: Site,
    as_of: datetime,
    refresh: int,
    unread: Sequence[str] = (),
    beside: Beside = Beside(),
) -> str:
    """The case board; ``refresh`` is in seconds, ``as_of`` when the cases were read, ``unread`` why some could not be."""
    return render(
        "board.html.j2",
        unread=unread,
        rows=rows,
        found=found,
        asked=asked,
        board=site.board(),
        as_of=as_of,
        refresh=refresh,
        times=beside.times,
        intake=beside.intake,
        audit=beside.audit,
        preflight=beside.preflight,
        statuses=[s.value for s in CaseStatus],
        severities=[s.value for s in reversed(Severity)],
        ages=list(AGES),
        sorts=SORTS,
        sizes=sorted({*PAGE_SIZES, asked.limit}),
        need_choices={"any": "any reason", **{need.value: words for need, words in NEED_WORDS.items()}},
    )


def message_page(title: str, *, what: str, why: str, next_action: str, links: Sequence[Link] = ()) -> str:
    """A page that says what happened, why, and what to do next."""
    return render("message.html.j2", title=title, what=what, why=why, next_action=next_action, links=links)
