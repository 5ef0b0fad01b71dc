"""The report of a case as JSON: the derived facts and the whole view they come from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from enum import Enum

from pydantic import JsonValue

from forensics.case import containment_summary as containment
from forensics.case.gaps import gaps, pending
from forensics.investigation.answers import QuestionAnswer, answers
from forensics.models.base import format_utc
from forensics.models.case import CaseView
from forensics.models.gaps import Gap
from forensics.report import chronology, headline, sections
from forensics.report.completeness import completeness
from forensics.report.handling import checklist
from forensics.report.next_steps import next_steps
from forensics.report.second_opinion import second_opinions

SCHEMA = "forensics.report/1"
CAVEAT = (
    "This report is a technical record. No claim is made as to the suitability of this report, or of the "
    "evidence it describes, as evidence in a court of law; "
    "that is for qualified examiners and the court to decide."
)


def render_json(view: CaseView) -> str:
    """The report as canonical JSON: sorted keys, two spaces, ASCII only (no terminal or editor is fooled)."""
    return json.dumps(to_json(build(view)), sort_keys=True, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def build(view: CaseView) -> dict[str, object]:
    """The report's content as plain values; ``view`` validates back as a :class:`CaseView`."""
    state = containment.describe(view)
    ledger = headline.chain_check(view)
    found, answered = gaps(view), answers(view)
    return {
        "schema": SCHEMA,
        "case_id": view.case.case_id,
        "generated_at": view.generated_at,
        "summary": {
            "status": view.case.status,
            "status_in_words": headline.status_words(view),
            "phase": view.case.phase,
            "contained": state.short,
            "contained_in_words": state.sentence,
            "evidence": headline.evidence_sentence(view),
            "findings": headline.findings_sentence(view),
            "gap_count": len(found),
        },
        "next_steps": [asdict(step) for step in next_steps(view, answered=answered)],
        "key_times": [asdict(row) for row in chronology.key_times(view)],
        "answers": [_answer(item) for item in answered],
        "completeness": asdict(completeness(view)),
        "second_opinions": list(second_opinions(view)),
        "gaps": [_gap(gap) for gap in found],
        "pending": [_gap(item) for item in pending(view)],
        "custody": {
            "intact": ledger.intact,
            "in_words": ledger.sentence,
            "signature": sections.signature(view).sentence,
        },
        "handling": [asdict(point) for point in checklist(view)],
        "caveat": CAVEAT,
        "view": view.model_dump(mode="python", by_alias=True),
    }


def _gap(gap: Gap) -> dict[str, str]:
    """A gap; ``what`` and ``origin`` are what earlier versions of the document called its subject and kind."""
    return {**gap.model_dump(mode="json"), "what": gap.subject, "origin": gap.kind.value}


def _answer(item: QuestionAnswer) -> dict[str, object]:
    """An answer with the ids of the findings behind it, not the findings again (they are in ``view``)."""
    return {
        "question": item.question.id,
        "text": item.question.text,
        "state": item.state,
        "statements": [
            {
                "finding": s.finding.id,
                "title": s.finding.title,
                "evidence_id": s.evidence_id,
                "tool": s.tool,
                "artifact": s.finding.source,
                "time": s.finding.time,
                "confidence": s.finding.confidence,
            }
            for s in item.sentences
        ],
        "more": item.more,
        "examined": item.examined,
        "not_there": [asdict(u) for u in item.absent],
        "not_examined": [asdict(u) for u in item.unread],
    }


def to_json(value: object) -> JsonValue:
    """Values as JSON has them; what JSON cannot say (bytes, NaN) becomes text."""
    if isinstance(value, Mapping):
        return {str(to_json(key)): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return format_utc(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
