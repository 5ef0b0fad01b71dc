"""What the evidence answers to the questions of the finding's playbook, and the artifact behind each sentence.

The rules are data (``answers.yaml``). Nothing is concluded from silence: a question of which no artifact was examined is
unanswered, with the reason; one whose artifacts were examined without a match says so and claims no more. What is not there was
not examined either (:mod:`forensics.investigation.examined`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib import resources
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

    def fits(self, finding: ToolFinding) -> bool:
        """Whether the finding is part of the answer."""
        if _RANK[finding.severity] < _RANK[self.lowest]:
            return False
        return _fits_any(finding.technique or "", self.techniques) or _fits_any(finding.title, self.titles)


@lru_cache(maxsize=16_384)
def _fits_any(text: str, patterns: tuple[str, ...]) -> bool:
    """Asked for each finding on each page, of which many have the same technique and title."""
    return any(fnmatchcase(text, pattern) for pattern in patterns)


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
    return [_answer(view, question) for question in (view.plan.questions if view.plan else ())]


def _answer(view: CaseView, question: Question) -> QuestionAnswer:
    looks = [(name, look(view, _artifact(name))) for name in question.artifacts]
    examined = tuple(name for name, seen in looks if seen.examined)
    absent = tuple(Unread(name, seen.absent) for name, seen in looks if seen.absent)
    unread = tuple(Unread(name, seen.unread) for name, seen in looks if seen.unread)
    found = _sentences(view, question)
    with_answer = State.IN_PART if unread else State.ANSWERED
    without = State.NO_SIGN if examined else State.UNANSWERED
    state = with_answer if found else without
    shown = found[:MAX_SENTENCES]
    return QuestionAnswer(question, state, tuple(shown), len(found) - len(shown), examined, absent, unread)


def _sentences(view: CaseView, question: Question) -> list[Sentence]:
    rule = rules().questions.get(question.id) or AnswerRule.model_validate({"from": "medium"})
    patterns = [p for name in question.artifacts for p in _artifact(name).sources]
    by_source = question.id not in rules().questions
    found = [
        Sentence(finding, result.evidence_id, result.tool)
        for result in view.results
        for finding in result.findings
        if rule.fits(finding) or (by_source and _of_note(finding, rule) and matches(finding.source, patterns))
    ]
    return _varied(sorted(found, key=_order))


def _varied(ranked: list[Sentence]) -> list[Sentence]:
    """The most serious of each technique before a second one of the same, so that ten accounts do not hide one cron job."""
    seen: dict[str, int] = {}
    turns = []
    for sentence in ranked:
        technique = sentence.finding.technique or sentence.finding.title
        turns.append(seen.get(technique, 0))
        seen[technique] = turns[-1] + 1
    return [sentence for _, sentence in sorted(zip(turns, ranked, strict=True), key=lambda pair: pair[0])]


def _of_note(finding: ToolFinding, rule: AnswerRule) -> bool:
    return _RANK[finding.severity] >= _RANK[rule.lowest]


def _order(sentence: Sentence) -> tuple[int, int, float, str]:
    finding = sentence.finding
    moment = finding.time.timestamp() if finding.time else float("inf")
    return -_RANK[finding.severity], -_CONFIDENCE[finding.confidence.value], moment, finding.id


def _artifact(name: str) -> ArtifactRule:
    return rules().artifacts.get(name, ArtifactRule())
