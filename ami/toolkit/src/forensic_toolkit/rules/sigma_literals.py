"""Which words a Sigma rule cannot do without: they decide which of a million records a rule looks at closely.

A condition is a tree of AND, OR and NOT. From it follow clauses, of each of which at least one word must be in a record. Words are
searched in all records at once (Aho-Corasick), in those of each log source only the words of the rules for it; which of a rule's clauses
are rare is learnt from the first records. A rule without words that are rare looks at every record of its log source.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

Clause = frozenset[str]
SHORTEST = 3  # bytes
MAX_WORDS = 6000  # in one clause; rules on signs that nobody types list thousands
# Records of one log source from which is learnt how frequent words are, clauses of a rule that are kept then, and the share of the
# records above which a clause selects too little to be worth its while.
LEARN, RAREST, FREQUENT = 400, 2, 0.5


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
        return _of_value(node.value)
    return []


def _of_value(value: Any) -> list[Clause]:
    """The longest fixed part of a string with wildcards, or what a regular expression cannot do without; none for anything else."""
    kind = type(value).__name__
    if kind == "SigmaRegularExpression":
        return regex_clauses(str(value.regexp))
    if kind in ("SigmaString", "SigmaCasedString"):
        word = max((part.lower() for part in value.s if isinstance(part, str)), key=len, default="")
        return [frozenset({word})] if len(word.encode()) >= SHORTEST else []
    return []


def regex_clauses(pattern: str) -> list[Clause]:
    """Clauses in lower case that everything satisfies which a regular expression matches; none where nothing is known."""
    try:
        return _of_pattern(_parser.parse(pattern))
    except (re.error, OverflowError, RecursionError):
        return []


def _of_pattern(parsed: Any) -> list[Clause]:
    found: list[Clause] = []
    texts = [""]
    for kind, argument in parsed:
        if kind is _constants.LITERAL:
            texts[-1] += chr(argument)
            continue
        if kind is _constants.AT:
            continue
        texts.append("")
        if kind is _constants.SUBPATTERN:
            found += _of_pattern(argument[-1])
        elif kind is _constants.MAX_REPEAT and argument[0] >= 1:
            found += _of_pattern(argument[2])
        elif kind is _constants.BRANCH:
            best = [min(_of_pattern(branch), key=_cost, default=None) for branch in argument[1]]
            if all(clause is not None for clause in best):
                found.append(frozenset(word for clause in best if clause for word in clause))
    words = (text.lower() for text in texts if text.isascii() and len(text) >= SHORTEST)
    return found + [frozenset({word}) for word in words]


def _cost(clause: Clause) -> tuple[int, int]:
    """Clauses with few and long words select least."""
    return -min(map(len, clause)), len(clause)


class Selection:
    """Finds for each record the rules whose clauses it satisfies: ``rows`` by rule, where ``selective`` says that they are all there are.

    ``applies`` says whether a rule (by its number) is for the records of a key: a channel and event id, or a kind of record.
    """

    def __init__(self, clauses: Sequence[tuple[Clause, ...]], *, applies: Callable[[int, Hashable], bool]) -> None:
        self._clauses, self._applies = clauses, applies
        self.rows = [array("I") for _ in clauses]
        self.selective = [bool(rule) for rule in clauses]
        self._by_key: dict[Hashable, _Searched] = {}
        self.works = bool(clauses) and "ahocorasick_rs" not in _absent()

    def see(self, row: int, key: Hashable, texts: Iterable[str]) -> None:
        """Note the rules that have to look at a record; without the library (``works``) every rule looks at every record."""
        searched = self._by_key.get(key)
        if searched is None:
            rules = {n: self._clauses[n] for n, open_ in enumerate(self.selective) if open_ and self._applies(n, key)}
            searched = self._by_key[key] = _Searched(rules)
        if searched.silent:
            return
        for rule in searched.see("\n".join(texts).lower()):
            self.rows[rule].append(row)
        for rule in searched.given_up():
            self.selective[rule] = False
            del self.rows[rule][:]


class _Searched:
    """The words of the rules for one log source."""

    def __init__(self, rules: dict[int, tuple[Clause, ...]]) -> None:
        self._rules = rules
        self._seen, self._frequency = 0, Counter[int]()
        self._given_up: list[int] = []
        self._prepare({rule: sorted(clauses, key=_cost) for rule, clauses in rules.items()})

    @property
    def silent(self) -> bool:
        """Whether no rule is for these records."""
        return not self._needs

    def given_up(self) -> list[int]:
        """Rules without a clause that is rare in these records, once."""
        given, self._given_up = self._given_up, []
        return given

    def _prepare(self, chosen: dict[int, list[Clause]]) -> None:
        self._words = sorted({word for clauses in chosen.values() for clause in clauses for word in clause})
        numbers = {word: number for number, word in enumerate(self._words)}
        self._needs = {
            rule: [frozenset(numbers[word] for word in clause) for clause in clauses]
            for rule, clauses in chosen.items()
        }
        self._by_word: list[list[int]] = [[] for _ in self._words]
        for rule, needs in self._needs.items():
            for number in needs[0]:
                self._by_word[number].append(rule)
        if self._words:
            from ahocorasick_rs import AhoCorasick

            self._search = AhoCorasick(self._words)

    def see(self, text: str) -> list[int]:
        """The rules that have to look at a record with this text."""
        if self._seen == LEARN:
            self._learn()
            if self.silent:
                return []
        self._seen += 1
        found = {hit[0] for hit in self._search.find_matches_as_indexes(text, overlapping=True)}
        if self._seen <= LEARN:
            self._frequency.update(found)
        asked = {rule for number in found for rule in self._by_word[number]}
        return [rule for rule in asked if all(not clause.isdisjoint(found) for clause in self._needs[rule])]

    def _learn(self) -> None:
        """Of each rule keep the clauses that are rare in these records."""
        frequency = {word: self._frequency[number] for number, word in enumerate(self._words)}
        chosen: dict[int, list[Clause]] = {}
        for rule, clauses in self._rules.items():
            often = sorted(
                (sum(frequency[word] for word in clause), *_cost(clause), number)
                for number, clause in enumerate(clauses)
            )
            if often[0][0] > FREQUENT * LEARN:
                self._given_up.append(rule)
            else:
                chosen[rule] = [clauses[number] for times, *_, number in often[:RAREST] if times <= FREQUENT * LEARN]
        self._seen += 1
        self._prepare(chosen)


def _absent() -> set[str]:
    """The optional libraries that are not installed."""
    try:
        import ahocorasick_rs  # noqa: F401
    except ImportError:
        return {"ahocorasick_rs"}
    return set()
