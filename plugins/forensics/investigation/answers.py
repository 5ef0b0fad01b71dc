"""What the evidence answers to the questions of the finding's playbook, and the artifact behind each sentence.

The rules are data (``answers.yaml``). Nothing is concluded from silence: a question of which no artifact was examined is
unanswered, with the reason; one whose artifacts were examined without a match says so and claims no more. What is not there was
not examined either (:mod:`forensics.investigation.examined`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import translate
from functools import lru_cache
from heapq import nsmallest
from importlib import resources
from operator import itemgetter
from typing import Literal

import yaml
from pydantic import Field

from forensics.investigation.examined import ArtifactRule, Unread, look, matches
from forensics.models.base import Model
from forensics.models.case import CaseView
from forensics.models.plan import Question
from forensics.models.results import ResultSeverity, ToolFinding

MAX_SENTENCES = 8
_RANK = {severity: rank for rank, severity in enumerate(ResultSeverity)}
_CONFIDENCE = {"low": 0, "medium": 1, "high": 2}


class AnswerRule(Model):
    """Which findings answer a question."""

    lowest: ResultSeverity = Field(default=ResultSeverity.LOW, alias="from")
    titles: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()


@lru_cache(maxsize=256)
def one_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all of the patterns (as of ``fnmatchcase``), none of which may be there: asked for each finding on each page."""
    return re.compile("|".join(map(translate, patterns)) or r"(?!)")


class Weights(Model):
    """Weight of each part of a case's evidence, and what each outcome is worth."""

    weights: dict[str, float]
    states: dict[str, float]


class AnswerRules(Model):
    """The file ``answers.yaml``."""

    schema_: Literal["forensics.answers/1"] = Field(alias="schema")
    artifacts: dict[str, ArtifactRule]
    questions: dict[str, AnswerRule]
    completeness: Weights


@lru_cache(maxsize=1)
def rules() -> AnswerRules:
    """The packaged rules."""
    return AnswerRules.model_validate(
        yaml.safe_load(resources.files("forensics.investigation").joinpath("answers.yaml").read_bytes())
    )


class State(StrEnum):
    """How far a question is answered."""

    ANSWERED = "answered"
    IN_PART = "answered in part"
    NO_SIGN = "no sign found"
    UNANSWERED = "unanswered"


@dataclass(frozen=True)
class Sentence:
    """One statement, and the finding and evidence it comes from."""

    finding: ToolFinding
    evidence_id: str
    tool: str


# A finding with the evidence and the tool that it is of.
_Found = tuple[ToolFinding, str, str]


@dataclass(frozen=True)
class QuestionAnswer:
    """A question and its answer: at most ``MAX_SENTENCES`` sentences, ``more`` counts the rest; what was examined, what is not
    there, and what was not examined."""

    question: Question
    state: State
    sentences: tuple[Sentence, ...]
    more: int
    examined: tuple[str, ...]
    absent: tuple[Unread, ...]
    unread: tuple[Unread, ...]


def answers(view: CaseView) -> list[QuestionAnswer]:
    """Answer every question of the plan, in its order; none when triage has not ended with a plan."""
    questions = view.plan.questions if view.plan else ()
    ranked = _ranked(view) if questions else []
    return [_answer(view, question, ranked) for question in questions]


def _answer(view: CaseView, question: Question, ranked: Sequence[_Found]) -> QuestionAnswer:
    looks = [(name, look(view, _artifact(name))) for name in question.artifacts]
    examined = tuple(name for name, seen in looks if seen.examined)
    absent = tuple(Unread(name, seen.absent) for name, seen in looks if seen.absent)
    unread = tuple(Unread(name, seen.unread) for name, seen in looks if seen.unread)
    found = _fitting(ranked, question)
    with_answer = State.IN_PART if unread else State.ANSWERED
    without = State.NO_SIGN if examined else State.UNANSWERED
    state = with_answer if found else without
    shown = tuple(Sentence(finding, item, tool) for finding, item, tool in _varied(found))
    return QuestionAnswer(question, state, shown, len(found) - len(shown), examined, absent, unread)


def _ranked(view: CaseView) -> list[_Found]:
    """All findings with their evidence and tool, the gravest first: put in order once for all questions."""
    found = [(finding, result.evidence_id, result.tool) for result in view.results for finding in result.findings]
    return sorted(found, key=_order)


def _fitting(ranked: Sequence[_Found], question: Question) -> list[_Found]:
    """The findings that are part of the answer, in their order. Texts that many findings share are looked at once."""
    known = rules().questions.get(question.id)
    rule = known or AnswerRule.model_validate({"from": "medium"})
    patterns = () if known else tuple(p for name in question.artifacts for p in _artifact(name).sources)
    grave = ranked[: bisect_right(ranked, -_RANK[rule.lowest], key=_rank)]
    titles, techniques = one_of(rule.titles), one_of(rule.techniques)
    named = {t: bool(techniques.match(t)) for t in {finding.technique or "" for finding, _, _ in grave}}
    read = {s: matches(s, patterns) for s in {finding.source for finding, _, _ in grave}} if patterns else {}
    return [
        found
        for found in grave
        if named[found[0].technique or ""] or read.get(found[0].source) or titles.match(found[0].title)
    ]


def _varied(ranked: Sequence[_Found]) -> list[_Found]:
    """The most serious of each technique before a second one of the same, so that ten accounts do not hide one cron job."""
    seen: Counter[str] = Counter()
    turns = []
    for finding, _, _ in ranked:
        technique = finding.technique or finding.title
        turns.append(seen[technique])
        seen[technique] += 1
    return [found for _, found in nsmallest(MAX_SENTENCES, zip(turns, ranked, strict=True), key=itemgetter(0))]


def _rank(found: _Found) -> int:
    return -_RANK[found[0].severity]


def _order(found: _Found) -> tuple[int, int, float, str]:
    finding = found[0]
    moment = finding.time.timestamp() if finding.time else float("inf")
    return -_RANK[finding.severity], -_CONFIDENCE[finding.confidence], moment, finding.id


def _artifact(name: str) -> ArtifactRule:
    return rules().artifacts.get(name, ArtifactRule())
