"""The report of a case as one self-contained HTML page, and the Jinja environment that all pages share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from forensics.case.gaps import gaps, pending
from forensics.containment.call_sentences import call_sentence
from forensics.investigation.answers import State, answers
from forensics.models.base import format_utc
from forensics.models.case import CaseView
from forensics.models.containment import ApiCall
from forensics.printable import visible
from forensics.report import chronology, document, headline, sections, text
from forensics.report import containment_summary as containment
from forensics.report.completeness import completeness
from forensics.report.next_steps import next_steps

TEMPLATES = Path(__file__).parent / "templates"
ANSWER_LEVEL = {State.ANSWERED: "good", State.IN_PART: "warn", State.NO_SIGN: "idle", State.UNANSWERED: "bad"}


@dataclass(frozen=True)
class Link:
    """A way out of the page; given by the web app, absent in a stored report."""

    label: str
    href: str


def _finalize(value: object) -> str:
    """Last stop of every value on its way into a page, before it is escaped."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return text.NOT_RECORDED
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
        "utc": text.utc,
        "iso": format_utc,
        "duration": text.duration,
        "human_size": text.human_size,
        "exact_size": text.exact_size,
        "pairs": text.pairs,
        "flat": text.flat,
        "plain": text.plain,
        "cut": text.cut,
        "count_of": text.count,
        "sentence": call_sentence,
        "parameters": _parameters,
    }
    made.globals |= {"NOT_RECORDED": text.NOT_RECORDED}
    return made


@lru_cache(maxsize=1)
def _report_environment() -> Environment:
    return environment()


def render_html(view: CaseView, *, links: Sequence[Link] = ()) -> str:
    """The report as HTML: inline style, no script, nothing loaded from anywhere.

    ``links`` are shown at the top; they must come from the program, never from data.
    """
    moments = chronology.merged(view)
    missing, awaited = gaps(view), pending(view)
    page = (
        _report_environment()
        .get_template("report.html.j2")
        .render(
            view=view,
            case=view.case,
            links=links,
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
            steps=next_steps(view),
            key_times=chronology.key_times(view),
            plan_rows=sections.plan_rows(view),
            found=sections.found_rows(view),
            answers=answers(view),
            answer_level=ANSWER_LEVEL,
            answers_sentence=headline.answers_sentence(view),
            complete=completeness(view),
            anchors={e.evidence_id: number for number, e in enumerate(view.evidence, start=1)},
            evidence=sections.evidence_rows(view),
            stretches=chronology.stretches(moments),
            moments=len(moments),
            max_entries=chronology.MAX_ENTRIES,
            results=sections.provenance_rows(view),
            exports=sections.export_rows(view),
            ledger=headline.chain_check(view),
            signature=sections.signature(view),
            caveat=document.CAVEAT,
        )
    )
    # A lone surrogate cannot be encoded; data was made visible already, this is the last safeguard.
    return page.encode("utf-8", "backslashreplace").decode("utf-8")
