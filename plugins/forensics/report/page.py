"""The report of a case as one self-contained HTML page, and the Jinja environment that all pages share."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from forensics.attack_techniques import technique_text
from forensics.case import containment_summary as containment
from forensics.case.addresses import task_page
from forensics.case.gaps import failures_made_up_for, gaps, pending
from forensics.containment.call_sentences import call_sentence
from forensics.investigation.answers import State, answers
from forensics.models.base import format_utc
from forensics.models.case import Case, CaseView
from forensics.models.containment import ApiCall
from forensics.printable import NOT_RECORDED, count, utc, visible
from forensics.report import chronology, document, downloads, headline, remarks, sections, text
from forensics.report.attack_strip import attack_strip
from forensics.report.completeness import completeness
from forensics.report.containment_picture import containment_picture
from forensics.report.handling import checklist
from forensics.report.histogram import histogram
from forensics.report.next_steps import next_steps
from forensics.report.orders import orders, questions
from forensics.report.process_tree import process_trees
from forensics.report.second_opinion import second_opinions
from forensics.report.timeline_filter import EVERYTHING, TimelineFilter

RENEW_SECONDS = 60  # between two readings of an open case
STORED_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
TEMPLATES = Path(__file__).parent / "templates"
ANSWER_LEVEL = {State.ANSWERED: "good", State.IN_PART: "warn", State.NO_SIGN: "idle", State.UNANSWERED: "bad"}


@dataclass(frozen=True)
class Link:
    """A way out of the page; given by the web app, absent in a stored report. ``top``: it opens in the whole window."""

    label: str
    href: str
    top: bool = False


@dataclass(frozen=True)
class RightRow:
    """One thing that people may do, by which role and permission of Airflow, and whether this person may."""

    role: str
    gives: str
    words: str
    given: bool


@dataclass(frozen=True)
class Desk:
    """What the person who looks at a page may do on it; ``remarks`` is where remarks are sent, empty for who may not.

    ``once`` begins the names of this page's orders: sent twice, each counts once. ``download`` is what the path of a stored object
    is put behind, empty where none is handed out; ``artifacts``: what the tools made is handed to this person too. ``dags`` are those that the
    person may start, by the API of Airflow's UI at the address ``airflow``.
    """

    person: str
    rights: Sequence[RightRow]
    remarks: str = ""
    once: str = ""
    airflow: str = ""
    dags: frozenset[str] = frozenset()
    download: str = ""
    artifacts: bool = False


@dataclass(frozen=True)
class Live:
    """What the page has in Airflow's UI and a stored report has not; all of it comes from the program, never from data.

    ``airflow``: address of Airflow's UI without a closing slash; ``page``: the address of the case's page, whose timeline shows what was
    ``asked`` for. ``script`` is what the Content-Security-Policy ``policy`` allows.
    """

    links: Sequence[Link] = ()
    airflow: str = ""
    page: str = ""
    asked: TimelineFilter = EVERYTHING
    desk: Desk | None = None
    script: str = ""
    policy: str = STORED_POLICY

    def task_page(self, case: Case) -> Callable[[str], str] | None:
        """The address of a task of the case's run, by its id; None while no run is recorded."""
        run_id = case.run_id
        return (lambda task_id: task_page(self.airflow, run_id, task_id)) if run_id else None


def _finalize(value: object) -> str:
    """Last stop of every value on its way into a page, before it is escaped."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return NOT_RECORDED
    return visible(text.cut(str(value)))


def _parameters(call: ApiCall) -> str:
    """The parameters of a call as they are made."""
    return json.dumps(call.params, sort_keys=True)


def environment(*folders: Path) -> Environment:
    """An environment that escapes everything, shows hidden characters and refuses undefined names."""
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "utc": utc,
        "iso": format_utc,
        "duration": text.duration,
        "human_size": text.human_size,
        "exact_size": text.exact_size,
        "pairs": text.pairs,
        "flat": text.flat,
        "plain": text.plain,
        "cut": text.cut,
        "count_of": count,
        "sentence": call_sentence,
        "parameters": _parameters,
        "technique": technique_text,
    }
    made.globals |= {"NOT_RECORDED": NOT_RECORDED}
    return made


@lru_cache(maxsize=1)
def _report_environment() -> Environment:
    return environment()


@dataclass(frozen=True)
class Search:
    """The form above a timeline: what can be chosen, and what was."""

    page: str
    asked: TimelineFilter
    kinds: tuple[str, ...]
    evidence: tuple[str, ...]
    whole: int


def _search(live: Live, moments: Sequence[chronology.Moment]) -> Search:
    return Search(
        page=live.page,
        asked=live.asked,
        kinds=tuple(sorted({m.kind for m in moments})),
        evidence=tuple(sorted({m.evidence_id for m in moments if m.evidence_id})),
        whole=len(moments),
    )


def render_html(view: CaseView, *, live: Live | None = None) -> str:
    """The report as HTML: inline style, nothing loaded from anywhere; a stored one (without ``live``) has no script and no way out."""
    # Each is made once: what goes over all findings and entries of a case is most of the work for its page.
    everything, answered, found = chronology.merged(view), answers(view), sum(headline.severities(view).values())
    moments = [m for m in everything if live.asked.fits(m)] if live and live.asked.asks else everything
    shown, found_shown = chronology.shown(moments), sections.shown_rows(view)
    missing, awaited = gaps(view), pending(view)
    page = (
        _report_environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            case=view.case,
            links=live.links if live else (),
            task_page=live.task_page(view.case) if live else None,
            renew=RENEW_SECONDS if live and not view.case.ended else 0,
            script=live.script if live else "",
            policy=live.policy if live else STORED_POLICY,
            made_up_for=failures_made_up_for(view),
            status_words=headline.status_words(view),
            status_level=headline.STATUS_LEVEL[view.case.status],
            contained=containment.describe(view),
            state_words=containment.STATE_WORDS,
            evidence_sentence=headline.evidence_sentence(view),
            findings_sentence=headline.findings_sentence(view),
            outcome_words=headline.OUTCOME_WORDS,
            outcome_level=headline.OUTCOME_LEVEL,
            gaps=missing,
            pending=awaited,
            gaps_sentence=headline.gaps_sentence(missing, awaited),
            steps=next_steps(view, answered=answered),
            key_times=chronology.key_times(view),
            plan_rows=sections.plan_rows(view),
            found=found_shown,
            desk=live.desk if live else None,
            trees=process_trees(view),
            orders=orders(view, dags=live.desk.dags) if live and live.desk else (),
            questions=questions(view, airflow=live.airflow) if live and live.desk else (),
            offers=downloads.offers(view) if live and live.desk and live.desk.download else (),
            summary_anchors={row.key: row.anchor_id for row in found_shown},
            verdict_words=remarks.VERDICT_WORDS,
            verdict_level=remarks.VERDICT_LEVEL,
            verdicts_sentence=remarks.verdicts_sentence(remarks.verdicts(view), found),
            remark_words=remarks.remark_words,
            more_found=found - len(found_shown),
            answers=answered,
            answer_level=ANSWER_LEVEL,
            answers_sentence=headline.answers_sentence(answered),
            complete=completeness(view),
            anchors={e.evidence_id: number for number, e in enumerate(view.evidence, start=1)},
            evidence=sections.evidence_rows(view),
            stretches=chronology.stretches(shown),
            moments=len(moments),
            picture=histogram(view, moments),
            search=_search(live, everything) if live and live.page else None,
            strip=attack_strip(view),
            changes=containment_picture(view),
            more_moments=len(moments) - len(shown),
            results=sections.provenance_rows(view),
            second_opinions=second_opinions(view),
            exports=sections.export_rows(view),
            ledger=headline.chain_check(view),
            signature=sections.signature(view),
            handling=checklist(view),
            caveat=document.CAVEAT,
        )
    )
    # A lone surrogate cannot be encoded; data was made visible already, this is the last safeguard.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")
