"""Sigma rules on records: translated to SQL by pySigma, run over a table of records, hits folded as they are read.

One engine for shipped rules and for a user's packs, for log lines of Linux and for events of Windows. A rule that cannot be
translated or run is counted and listed, never dropped silently.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from forensic_toolkit.folding import Fold, newest_first
from forensic_toolkit.results import Finding, Results, Severity, ToolRun
from forensic_toolkit.rules.sigma_literals import Clause, Selection, clauses_of
from forensic_toolkit.technique_ids import technique_id
from forensic_toolkit.times import parse_iso

Record = dict[str, Any]
# Of one rule so many hits are read, the newest first, and so many different ones are listed.
MAX_READ, MAX_DIFFERENT = 50_000, 20
# Longer than any field of a Windows event (a chunk of 64 KiB in UTF-16): whoever pads a command must not hide its end.
MAX_VALUE = 32_768
SECONDS_FOR_A_RULE = 60.0
MAX_LISTED = 40
LEVELS: dict[str, Severity] = {
    "informational": "info",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "critical": "critical",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A translated rule: the condition in SQL, the fields that it asks for, and where it applies."""

    name: str
    title: str
    id: str
    severity: Severity
    technique: str | None
    condition: str
    fields: tuple[str, ...]
    product: str
    category: str
    service: str
    clauses: tuple[Clause, ...] = ()
    pack: str = ""


@dataclass(slots=True)
class Rules:
    """Translated rules, and why others could not be translated."""

    rules: list[Rule] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    elsewhere: Counter[str] = field(default_factory=Counter)  # rules for other products, by product and source


def shipped(folder: str) -> Iterator[tuple[str, str]]:
    """Name and text of the project's own rules in a folder of this package."""
    place = resources.files("forensic_toolkit.rules").joinpath(folder)
    for path in sorted(place.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yml"):
            yield path.name, path.read_text("utf-8")


def translated(sources: Iterable[tuple[str, str]], *, results: Results, pack: str = "", product: str = "") -> Rules:
    """The rules of some files, those for a product only where one is given. Without pySigma there are none, and a gap says so."""
    found = Rules()
    try:
        import yaml
        from sigma.backends.sqlite import sqliteBackend
        from sigma.collection import SigmaCollection
    except ImportError:
        results.gap("Sigma", "pySigma or its SQLite backend is not installed in the toolkit's environment")
        return found
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    backend = sqliteBackend(fulltext_field="message")
    for name, text in sources:
        try:
            documents = [item for item in yaml.load_all(text, Loader=loader) if isinstance(item, dict)]
            parts = _alone(documents)
        except Exception as error:  # a rule from outside may break any part of the translation
            found.refused.append((name, _why(error)))
            continue
        for part in parts:
            try:
                if other := _other(part, product):
                    found.elsewhere[other] += 1
                    continue
                collection = SigmaCollection.from_dicts(part)
                for rule, query in zip(collection.rules, backend.convert(collection), strict=True):
                    found.rules.append(_rule(name, rule, query, fields=backend.required_fields(rule), pack=pack))
            except Exception as error:  # as above; the file's other rules are not its fault
                which = f" ({part[0].get('title') or part[0].get('id')})" if len(parts) > 1 else ""
                found.refused.append((f"{name}{which}"[:200], _why(error)))
    return found


def _alone(documents: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The documents of a file that can be translated each by itself; all together where one is about others of them."""
    together = any("action" in item or "correlation" in item for item in documents)
    return [documents] if together or not documents else [[item] for item in documents]


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _other(documents: list[dict[str, Any]], product: str) -> str | None:
    """The product and source of a rule that is for another product, or None."""
    source = documents[0].get("logsource") if documents else None
    if not product or not isinstance(source, dict) or source.get("product") in (None, "", product):
        return None
    return f"{source.get('product')}/{source.get('category') or source.get('service') or 'any'}"


def _rule(name: str, rule: Any, query: str, *, fields: list[str], pack: str) -> Rule:
    head, _, condition = str(query).partition(" WHERE ")
    if head != "SELECT * FROM logs" or not condition:
        raise ValueError("it counts or correlates events, which this engine does not do")
    tags = [technique_id(str(tag.name)) for tag in rule.tags if tag.namespace == "attack"]
    source = rule.logsource
    return Rule(
        name=name,
        title=str(rule.title),
        id=str(rule.id),
        severity=LEVELS[rule.level.name.lower()] if rule.level else "medium",
        technique=next((tag for tag in tags if tag), None),
        condition=_either_form(condition),
        fields=tuple(fields),
        product=source.product or "",
        category=source.category or "",
        service=source.service or "",
        clauses=clauses_of(rule),
        pack=pack,
    )


_TEXTS, _NUMBER = re.compile(r"('(?:[^']|'')*')"), re.compile(r'(?<![\w"])("[^"]+"|[A-Za-z_]\w*)=(\d+)\b')


def _either_form(condition: str) -> str:
    """A condition that compares with numbers also where a log has them as text, as exported and rendered logs do."""
    parts = _TEXTS.split(condition)
    parts[::2] = [_NUMBER.sub(r"(\1=\2 OR \1='\2')", part) for part in parts[::2]]
    return "".join(parts)


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error:
        return None


def _matches(pattern: str, value: object) -> bool:
    if value is None:
        return False
    compiled = _compiled(pattern)
    return compiled is not None and compiled.search(str(value)) is not None


class Table:
    """Records in a database, with a column for each field that a rule asks for.

    ``place`` gives the place of a record (its channel and event id, its kind), ``applies`` says whether a rule is for records of a place.
    """

    BASE = ("ts", "source", "message")

    def __init__(
        self,
        rules: Sequence[Rule],
        *,
        keys: Iterable[str],
        path: Path | None = None,
        place: Callable[[Record], Hashable] = lambda _record: None,
        applies: Callable[[Rule, Any], bool] = lambda _rule, _place: True,
    ) -> None:
        self._selection = Selection([rule.clauses for rule in rules], applies=lambda n, key: applies(rules[n], key))
        self._place = place
        self._numbers = {id(rule): number for number, rule in enumerate(rules)}
        asked = [*self.BASE, *keys, *(name for rule in rules for name in rule.fields)]
        self._columns = _distinct(asked)
        # Logs spell a field differently (PowerShell's Payload, the SSH server's payload): both are one column.
        places = {name.lower(): number for number, name in enumerate(self._columns)}
        self._at = {name: places[name.lower()] for name in asked}
        # The message repeats all fields: it is searched for words only where a rule asks for it.
        whole = any(re.search(r"\bmessage\b", rule.condition) for rule in rules)
        self._unsearched = frozenset({self._at["ts"]} if whole else {self._at["ts"], self._at["message"]})
        # On disk the table may be larger than the memory; nothing of it outlives the examination.
        self.database = sqlite3.connect(str(path) if path else ":memory:", isolation_level=None)
        self.database.row_factory = sqlite3.Row
        self.database.create_function("REGEXP", 2, _matches, deterministic=True)
        self.database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")
        columns = ", ".join(
            f'"{name}" {"INTEGER" if name == "EventID" else ""} COLLATE NOCASE' for name in self._columns
        )
        self.database.execute(f"CREATE TABLE logs ({columns})")
        marks = ", ".join("?" * len(self._columns))
        self._insert = f"INSERT INTO logs VALUES ({marks})"  # noqa: S608 - placeholders only
        self.rows = 0

    def fill(self, records: Iterable[Record]) -> None:
        """Add records; long values are cut."""
        self.database.execute("BEGIN")
        self.database.executemany(self._insert, map(self._row, records))
        self.database.execute("COMMIT")

    def _row(self, record: Record) -> list[object]:
        values: list[object] = [None] * len(self._columns)
        texts: list[str] = []
        for name, value in record.items():
            if (at := self._at.get(name)) is None or value is None:
                continue
            if isinstance(value, int | float):
                values[at] = value
            else:
                values[at] = text = str(value)[:MAX_VALUE]
                if at not in self._unsearched:
                    texts.append(text)
        self.rows += 1
        if self._selection.works:
            self._selection.see(self.rows, self._place(record), texts)
        return values

    def index(self, *columns: str) -> None:
        """Index some columns, so that a rule reads the records of its own log only."""
        self.database.execute(f"CREATE INDEX by_log ON logs ({', '.join(columns)})")

    def among(self, rule: Rule) -> Sequence[int] | None:
        """The records (by number) that a rule has to look at; None for all those of its log source."""
        number = self._numbers[id(rule)]
        if not self._selection.works or not self._selection.selective[number]:
            return None
        return self._selection.rows[number]

    def choose(self, rows: Sequence[int]) -> None:
        """Put numbers of records into the table ``chosen``, in place of those before."""
        self.database.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (id INTEGER PRIMARY KEY)")
        self.database.execute("BEGIN")
        self.database.execute("DELETE FROM chosen")
        self.database.executemany("INSERT INTO chosen VALUES (?)", ((row,) for row in rows))
        self.database.execute("COMMIT")

    def close(self) -> None:
        """Close the database."""
        self.database.close()


def _distinct(names: Iterable[str]) -> list[str]:
    """Names of columns, which SQLite does not distinguish by case."""
    return list({name.lower(): name for name in reversed(list(names))}.values())[::-1]


Describe = Callable[[Rule, sqlite3.Row], Finding]


def run(
    rules: Rules, table: Table, *, within: Callable[[Rule], str | None], describe: Describe, results: Results
) -> Iterator[Finding]:
    """The findings of all rules that apply. ``within`` gives the SQL condition of a rule's log source, None where there is none."""
    version = metadata.version("pysigma")
    for rule in rules.rules:
        place = within(rule)
        if place is None:
            continue
        started = time.monotonic()
        fold, read, error = _hits(rule, place, table, describe)
        results.runs.append(
            ToolRun("sigma", version, [rule.name], 0 if error is None else 1, time.monotonic() - started, read, error)
        )
        if error is not None:
            rules.refused.append((rule.name, error))
        yield from _listed(rule, fold, read=read, results=results)


def _hits(rule: Rule, place: str, table: Table, describe: Describe) -> tuple[Fold, int, str | None]:
    fold, read = Fold(), 0
    among = table.among(rule)
    if among is not None and not among:
        return fold, 0, None
    source = "logs"
    if among is not None:
        # CROSS JOIN keeps SQLite from reading the whole log source and looking each record up among the chosen.
        table.choose(among)
        source = "chosen CROSS JOIN logs ON logs.rowid = chosen.id"
    query = f"SELECT logs.* FROM {source} WHERE {place} AND ({rule.condition}) ORDER BY ts DESC LIMIT {MAX_READ}"  # noqa: S608 - pySigma's own SQL
    deadline = time.monotonic() + SECONDS_FOR_A_RULE
    table.database.set_progress_handler(lambda: time.monotonic() > deadline, 100_000)
    try:
        for row in table.database.execute(query):
            read += 1
            fold.add(describe(rule, row))
    except sqlite3.Error as error:
        late = time.monotonic() > deadline
        why = (
            f"not finished after {SECONDS_FOR_A_RULE:.0f} s; its newest hits are listed"
            if late
            else f"it cannot be run: {error}"
        )
        return fold, read, why[:300]
    finally:
        table.database.set_progress_handler(None, 0)
    return fold, read, None


def _listed(rule: Rule, fold: Fold, *, read: int, results: Results) -> Iterator[Finding]:
    """The newest different hits of a rule; what is left out is said."""
    found = sorted(fold.folded(), key=newest_first)
    if len(found) > MAX_DIFFERENT or read >= MAX_READ:
        most = f"at least {MAX_READ}" if read >= MAX_READ else str(read)
        why = (
            f"{most} hits of {len(found)} different forms; the newest {min(len(found), MAX_DIFFERENT)} forms are listed"
        )
        results.gap(f"Sigma rule {rule.title} ({rule.name})", why)
    yield from found[:MAX_DIFFERENT]


def account(rules: Rules, *, what: str, results: Results) -> None:
    """Say how many rules ran and list those that could not."""
    if rules.refused:
        names = "; ".join(f"{name} ({why})" for name, why in rules.refused[:MAX_LISTED])
        more = len(rules.refused) - MAX_LISTED
        results.gap(
            what, f"{len(rules.refused)} rules could not be used: {names}" + (f"; and {more} more" if more > 0 else "")
        )


def moment_of(row: sqlite3.Row) -> Any:
    """The time of a record, or None."""
    return parse_iso(str(row["ts"] or ""))
