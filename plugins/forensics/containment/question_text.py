"""A question as people read it in Airflow: what opens or closes, every call, and last what others have said. Pure.

The body is Markdown. Everything that findings, tags, hosts or persons have written is in a code span, on one line, after the calls:
none of it can hide, fake or link anything (``forensics.printable``). No call is left out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from forensics.containment.call_sentences import call_sentence
from forensics.models.approval import Approval
from forensics.models.containment import ApiCall, ContainmentPlan, PlanPreflight, PreflightAnswer
from forensics.printable import code_span, count, defanged, escaped

_ALL = 20_000


@dataclass(frozen=True)
class QuestionText:
    """Markdown in parts: ``effects`` are sentences, ``sections`` have a title and points, ``said`` is (who, their words).

    ``page`` is the case's page, ``accept`` the option that approves, ``default`` what no answer means.
    """

    effects: tuple[str, ...]
    calls: tuple[str, ...] = ()
    sections: tuple[tuple[str, tuple[str, ...]], ...] = ()
    said: tuple[tuple[str, str], ...] = ()
    page: str = ""
    accept: str = ""
    default: str = ""
    two_persons: bool = True


def question_body(question: Approval, text: QuestionText) -> str:
    """The whole body."""
    lines = [f"**Answer until {clock(question.until)}. No answer means: {text.default}.**", ""]
    lines += [f"* {escaped(line)}" for line in who_may(question, accept=text.accept, two_persons=text.two_persons)]
    lines += ["", f"**What “{text.accept}” does:**", "", *[f"* {effect}" for effect in text.effects]]
    for title, points in text.sections:
        lines += ["", f"**{title}:**", "", *[f"* {point}" for point in points]]
    if text.calls:
        page = f" (to fold and unfold: [the case's page]({text.page}))" if text.page else ""
        lines += ["", f"**All {count(len(text.calls), 'call')}, in this order**{page}:", ""]
        lines += [f"{number}. {call}" for number, call in enumerate(text.calls, 1)]
    if text.said:
        lines += ["", "**In the words of others** (not checked, and no instruction):", ""]
        lines += [f"* {who}: {code_span(words, limit=600)}" for who, words in text.said]
    lines += ["", f"Plan `{question.digest}`, for this run alone; an approval counts once."]
    return "\n".join(lines)


def who_may(question: Approval, *, accept: str, two_persons: bool) -> list[str]:
    """Plain text: whose answer approves."""
    if not two_persons:
        return ["One person approves; it may be the one who asked (setting approval_two_persons)"]
    names = " and ".join(dict.fromkeys(str(person) for person in question.askers.known))
    lines = []
    if question.needed > 1:
        why = "; ".join(question.askers.unknown)
        lines.append(f"Two different people have to choose “{accept}”: {why}")
    if names:
        lines.append(f"{names} asked for it: their “{accept}” does not count, and the question stays open")
    return lines or [f"One person approves by choosing “{accept}”"]


def clock(moment: datetime | None) -> str:
    """UTC to the second; the end of a question is known by then."""
    return f"{moment:%Y-%m-%d %H:%M:%SZ}" if moment else "the end of the task"


def call_point(call: ApiCall, *, target: str = "", undo: Sequence[ApiCall] | None = None) -> str:
    """One call with all of its parameters, as an entry of a numbered list."""
    on = f" on {code_span(target)}" if target else ""
    lines = [f"`{call}`{on}", f"    * with {code_span(json.dumps(call.params, sort_keys=True), limit=_ALL)}"]
    if undo is not None:
        lines.append(f"    * undone by {', '.join(f'`{c}`' for c in undo) or 'the end of its group'}")
    return "\n".join(lines)


def isolation_text(plan: ContainmentPlan, *, preflight: PlanPreflight | None, page: str) -> QuestionText:
    """The question whether to isolate."""
    effects = []
    for step in plan.steps:
        also = f" **Also affected: {escaped('; '.join(step.side_effects))}.**" if step.side_effects else ""
        effects.append(f"{escaped(call_sentence(step.call))} ({escaped(step.reason)}).{also}")
    manual = tuple(
        escaped(f"{s.what}: {s.reason}") + (f" ({code_span(s.command)})" if s.command else "")
        for s in plan.manual_steps
    )
    sections = [
        ("You are asked because", tuple(escaped(reason) for reason in plan.approval)),
        ("Preflight (EC2's DryRun, IAM's simulator)", _preflight(preflight) if preflight else ()),
        ("What stays open", tuple(escaped(r) for r in plan.residuals) or ("nothing known",)),
        ("Manual steps", manual),
    ]
    return QuestionText(
        effects=tuple(effects) or ("Nothing is left to change.",),
        calls=tuple(call_point(step.call, target=step.target, undo=step.undo) for step in plan.steps),
        sections=tuple((title, points) for title, points in sections if points),
        page=page,
    )


def _preflight(preflight: PlanPreflight) -> tuple[str, ...]:
    allowed, refused, rest = (
        preflight.of(a) for a in (PreflightAnswer.ALLOWED, PreflightAnswer.REFUSED, PreflightAnswer.NOT_ASKED)
    )
    total = f"{count(len(allowed), 'step')} would be allowed, {len(refused)} would be refused, {len(rest)} cannot be checked"
    return (total, *(escaped(f"refused: {s.name}: {s.detail}") for s in refused))


def release_text(
    calls: Sequence[ApiCall], *, warnings: Sequence[str], said: Sequence[tuple[str, str]], page: str
) -> QuestionText:
    """The question whether to release."""
    return QuestionText(
        effects=(
            "The target gets its network, addresses and credentials back:",
            *(f"{escaped(call_sentence(call))}." for call in calls),
        ),
        calls=tuple(call_point(call) for call in calls),
        sections=(("Attention", tuple(escaped(w) for w in warnings)),) if warnings else (),
        said=tuple(said),
        page=page,
    )


def said_lines(text: QuestionText) -> list[str]:
    """Plain text for messages: what others have said, each on one line and without a link."""
    return [f"{who}: {defanged(words)}" for who, words in text.said]
