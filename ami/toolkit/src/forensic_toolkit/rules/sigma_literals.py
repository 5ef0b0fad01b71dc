"""Which words a Sigma rule cannot do without: they decide which of a million records a rule looks at closely.

A condition is a tree of AND, OR and NOT. From it follow clauses, of each of which at least one word must be in a record. Words are
searched in all records at once (Aho-Corasick); a rule without such words looks at every record of its log source.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

Clause = frozenset[str]
SHORTEST = 3  # bytes
MAX_WORDS = 6000  # in one clause; rules on signs that nobody types list thousands


def clauses_of(rule: Any) -> tuple[Clause, ...]:
    """The clauses of a parsed pySigma rule with one condition; none when nothing follows."""
    parsed = [condition.parsed for condition in rule.detection.parsed_condition]
    return tuple(_clauses(parsed[0])) if len(parsed) == 1 else ()


def _clauses(node: Any) -> list[Clause]:
    kind = type(node).__name__
    if kind == "ConditionAND":
        return [clause for part in node.args for clause in _clauses(part)]
    if kind == "ConditionOR":
        best = [min(_clauses(part), key=_cost, default=None) for part in node.args]
        if any(clause is None for clause in best):
            return []
        union = frozenset(word for clause in best if clause for word in clause)
        return [union] if len(union) <= MAX_WORDS else []
    if kind in ("ConditionFieldEqualsValueExpression", "ConditionValueExpression"):
        word = _word(node.value)
        return [frozenset({word})] if word else []
    return []


def _word(value: Any) -> str | None:
    """The longest fixed part of a string with wildcards, in lower case; None for anything else than a string."""
    if type(value).__name__ not in ("SigmaString", "SigmaCasedString"):
        return None
    parts = [part.lower() for part in value.s if isinstance(part, str)]
    word = max(parts, key=len, default="")
    return word if len(word.encode()) >= SHORTEST else None


def _cost(clause: Clause) -> tuple[int, int]:
    """Clauses with few and long words select least."""
    return -min(map(len, clause)), len(clause)


class Selection:
    """Finds for each record the rules whose clauses it satisfies."""

    def __init__(self, clauses: Sequence[tuple[Clause, ...]]) -> None:
        words = sorted({word for rule in clauses for clause in rule for word in clause})
        numbers = {word: number for number, word in enumerate(words)}
        self._needs = [[frozenset(numbers[word] for word in clause) for clause in rule] for rule in clauses]
        self._by_word: list[list[int]] = [[] for _ in words]
        for rule, needs in enumerate(self._needs):
            for number in min(needs, key=lambda clause: (-min(len(words[n]) for n in clause), len(clause)), default=()):
                self._by_word[number].append(rule)
        self.rows = [array("L") for _ in clauses]
        self.selective = [bool(needs) for needs in self._needs]
        self._search: Any = None
        if words and "ahocorasick_rs" not in _absent():
            from ahocorasick_rs import AhoCorasick

            self._search = AhoCorasick(words)

    @property
    def works(self) -> bool:
        """Whether words are searched; without the library every rule looks at every record."""
        return self._search is not None

    def see(self, row: int, values: Iterable[object]) -> None:
        """Note the rules that have to look at a record."""
        text = "\n".join([value for value in values if isinstance(value, str)]).lower()
        found = {hit[0] for hit in self._search.find_matches_as_indexes(text, overlapping=True)}
        done: set[int] = set()
        for number in found:
            for rule in self._by_word[number]:
                if rule not in done:
                    done.add(rule)
                    if all(not clause.isdisjoint(found) for clause in self._needs[rule]):
                        self.rows[rule].append(row)


def _absent() -> set[str]:
    """The optional libraries that are not installed."""
    try:
        import ahocorasick_rs  # noqa: F401
    except ImportError:
        return {"ahocorasick_rs"}
    return set()
