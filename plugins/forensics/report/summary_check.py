"""What a model has answered, held sentence by sentence against the records that each cites. Pure.

A sentence stays when every record that it cites was given, and every word of it is either one of the plain English words of ``summary_words.txt``
or stands in those records: names, addresses, paths, numbers and times above all, but also words that turn a meaning round (not, never, failed). One that judges,
advises or asks is dropped even where a record has such words. What this cannot see is whether words of a record were put together wrongly: so each
sentence is shown with what it cites, and is labelled.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources

from forensics.models.summary import DroppedSentence, SummarySentence
from forensics.printable import single_line
from forensics.report.summary_records import MOST_SENTENCES, Record

MOST_CITES = 6
LONGEST = 400
LARGEST_ANSWER = 65_536
_SPLIT = re.compile(r"[\s\"\u2018\u2019\u201c\u201d`()\[\]{}<>,;!?…|]+")
_PLAIN = re.compile(r"[a-z]+")
# Never, whatever a record says: a verdict, advice or a request. Evidence may hold such words for nothing else than to be repeated here.
JUDGES = frozenset(
    [
        "benign",
        "harmless",
        "innocent",
        "innocuous",
        "legitimate",
        "legitimately",
        "safe",
        "safely",
        "clean",
        "trusted",
        "trustworthy",
        "authorised",
        "authorized",
        "approved",
        "false",
        "positive",
        "must",
        "should",
        "shall",
        "ought",
        "please",
        "recommend",
        "recommended",
        "recommends",
        "advise",
        "advised",
        "advisable",
        "suggest",
        "suggested",
        "ignore",
        "ignored",
        "disregard",
        "disregarded",
        "instruct",
        "instruction",
        "instructions",
        "prompt",
        "forget",
        "verdict",
        "conclude",
        "conclusion",
        "guilty",
        "malicious",
        "maliciously",
        "normal",
        "normally",
        "expected",
        "harm",
        "harmful",
    ]
)


class AnswerError(ValueError):
    """The answer is not of the form that was asked for."""


@dataclass(frozen=True)
class Checked:
    """What stands, and what was dropped with its reason."""

    sentences: tuple[SummarySentence, ...]
    dropped: tuple[DroppedSentence, ...]


def checked(answer: str, records: Iterable[Record]) -> Checked:
    """Hold an answer against the records. Raises :class:`AnswerError` where it has no sentences at all."""
    known, kept, dropped = {record.id: record for record in records}, list[SummarySentence](), list[DroppedSentence]()
    for said in _sentences(answer)[:100]:
        text, why = _judged(said, known)
        if why is None and len(kept) >= MOST_SENTENCES:
            why = f"more than {MOST_SENTENCES} sentences"
        if why is None and isinstance(said, dict):
            kept.append(
                SummarySentence(text=text, cites=tuple(known[name].cited for name in dict.fromkeys(said["cites"])))
            )
        else:
            dropped.append(DroppedSentence(text=text[:LONGEST], why=(why or "no sentence")[:300]))
    return Checked(tuple(kept), tuple(dropped))


def _sentences(answer: str) -> list[object]:
    if len(answer) > LARGEST_ANSWER:
        raise AnswerError(f"the answer has {len(answer)} characters, more than {LARGEST_ANSWER}")
    try:
        found = json.loads(answer[answer.index("{") : answer.rindex("}") + 1])
    except (ValueError, RecursionError):
        raise AnswerError("the answer is no JSON object") from None
    listed = found.get("sentences") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise AnswerError("the answer has no list of sentences")
    return listed


def _judged(said: object, known: Mapping[str, Record]) -> tuple[str, str | None]:
    """A sentence's text, and why it is dropped; None where it stays."""
    if not isinstance(said, dict) or not isinstance(said.get("text"), str):
        return single_line(str(said))[:LONGEST], "it is no sentence with a text"
    text = single_line(said["text"]).strip()
    cites = said.get("cites")
    if not text or len(text) > LONGEST:
        return text[:LONGEST], f"it has {len(text)} characters"
    if not isinstance(cites, list) or not cites:
        return text, "it cites nothing"
    if len(cites) > MOST_CITES:
        return text, f"it cites {len(cites)} records, more than {MOST_CITES}"
    missing = [str(name) for name in cites if not isinstance(name, str) or name not in known]
    if missing:
        return text, f"it cites what was not given: {', '.join(missing)[:100]}"
    return text, _unfounded(text, [known[name] for name in cites])


def _unfounded(text: str, cited: list[Record]) -> str | None:
    """Why the words of a sentence do not come from what it cites."""
    found = words(text)
    if judging := [word for word in found if word in JUDGES]:
        return f"it judges, advises or asks: {', '.join(judging)}"
    theirs = _tokens(cited)
    stems = {_stem(token) for token in theirs if _PLAIN.fullmatch(token)}
    ours = [word for word in found if word not in plain_words()]
    strange = [word for word in ours if not _stands(word, theirs, stems)]
    if strange:
        return f"not in what it cites: {', '.join(strange)[:200]}"
    if not [word for word in found if word in theirs and word not in plain_words()]:
        return "it says nothing of what it cites"
    return None


def _stands(word: str, theirs: frozenset[str], stems: set[str]) -> bool:
    if word in theirs:
        return True
    if _PLAIN.fullmatch(word):
        return _stem(word) in stems
    parts = word.split("-")  # command-and-control: each part is a word; an id or a date is no such thing
    return len(parts) > 1 and all(
        _PLAIN.fullmatch(p) and (p in theirs or p in plain_words() or _stem(p) in stems) for p in parts
    )


def words(text: str) -> list[str]:
    """The words of a text: in lower case, without the signs around them."""
    return [word for token in _SPLIT.split(text.casefold()) if (word := _bare(token))]


def _bare(token: str) -> str:
    bare = token.strip(".:'*_=").removesuffix("'s")
    return bare.rstrip(".:")


def _tokens(cited: Iterable[Record]) -> frozenset[str]:
    found = {word for record in cited for text in record.texts for word in words(text)}
    for record in cited:
        found |= _times(record.time) if record.time else set()
    return frozenset(found - {record.id.casefold() for record in cited})


def _times(moment: datetime) -> set[str]:
    """The forms in which a sentence may give a record's time."""
    at = moment.astimezone(UTC)
    date, minute, second = f"{at:%Y-%m-%d}", f"{at:%H:%M}", f"{at:%H:%M:%S}"
    exact = f"{second}.{at.microsecond:06d}"
    clocks = {clock + zone for clock in (minute, second, exact) for zone in ("", "z")}
    return {date} | clocks | {f"{date}t{clock}" for clock in clocks}


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)].rstrip("e")
    return word.rstrip("e")


@cache
def plain_words() -> frozenset[str]:
    """Words of plain English that name nothing, judge nothing and turn nothing round."""
    text = resources.files("forensics.report").joinpath("summary_words.txt").read_text("utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())
