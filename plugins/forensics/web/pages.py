"""HTML of the board and of messages, in the report's own style."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment

from forensics.case.addresses import case_page, run_page
from forensics.case.gaps import gap_count
from forensics.models.case import Case, CaseView
from forensics.models.evidence import Outcome
from forensics.report import containment_summary as containment
from forensics.report import headline
from forensics.report.page import Link, environment


@dataclass(frozen=True)
class Site:
    """Addresses: ``root`` of these pages, ``airflow`` of Airflow's own UI, both without a closing slash."""

    root: str
    airflow: str

    def board(self, cursor: str | None = None, limit: int | None = None) -> str:
        """Address of the board, of its first or a later page."""
        query = f"?limit={limit}&cursor={quote(cursor, safe='')}" if cursor else ""
        return f"{self.root}/{query}"

    def intake(self) -> str:
        """Address of the page on the intake."""
        return f"{self.root}/intake"

    def audit(self) -> str:
        """Address of the page on the audit."""
        return f"{self.root}/audit"

    def preflight(self) -> str:
        """Address of the preflight's page."""
        return f"{self.root}/preflight"

    def case(self, case_id: str) -> str:
        """Address of a case's page."""
        return case_page(self.root, case_id)

    def run(self, run_id: str) -> str:
        """Address of the DAG run in Airflow's UI."""
        return run_page(self.airflow, run_id)

    def case_links(self, case: Case, *, with_run: bool = True) -> list[Link]:
        """Ways out of a case's page; the tab on the DAG run needs no link to that run."""
        api = f"{self.root}/api/cases/{case.case_id}"
        links = [
            Link("All cases", self.board()),
            Link("JSON", api),
            Link("Timeline as JSON", f"{api}/timeline"),
        ]
        return [*links, Link("DAG run", self.run(case.run_id))] if case.run_id and with_run else links


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

    @property
    def status_level(self) -> str:
        """Level of the case's status."""
        return headline.STATUS_LEVEL[self.case.status]


def board_row(case: Case, *, view: CaseView | None, problem: str | None, site: Site) -> BoardRow:
    """A row of the board from the case and what could be read of it."""
    tally = Counter(e.outcome for e in view.evidence) if view else Counter[Outcome]()
    return BoardRow(
        case=case,
        href=site.case(case.case_id),
        run_href=site.run(case.run_id) if case.run_id else None,
        contained=containment.describe(view) if view else None,
        gap_count=gap_count(view) if view else None,
        outcomes=tuple((headline.OUTCOME_LEVEL[o], f"{n} {o.value}") for o, n in sorted(tally.items())),
        problem=problem,
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return environment(Path(__file__).parent / "templates")


def render(template: str, **values: object) -> str:
    """One of the pages' templates, filled."""
    page = _environment().get_template(template).render(**values)
    return page.encode("utf-8", "backslashreplace").decode("utf-8")


def board_page(
    rows: Sequence[BoardRow],
    *,
    older: str | None,
    newest: str | None,
    refresh: int,
    intake: str = "",
    audit: str = "",
    preflight: tuple[str, str, str] | None = None,
) -> str:
    """The case board; ``older`` and ``newest`` are addresses of other pages, ``refresh`` is in seconds.

    ``preflight``: address of its page, level and words of its last result.
    """
    return render(
        "board.html.j2",
        rows=rows,
        older=older,
        newest=newest,
        refresh=refresh,
        intake=intake,
        audit=audit,
        preflight=preflight,
    )


def message_page(title: str, *, what: str, why: str, next_action: str, links: Sequence[Link] = ()) -> str:
    """A page that says what happened, why, and what to do next."""
    return render("message.html.j2", title=title, what=what, why=why, next_action=next_action, links=links)
