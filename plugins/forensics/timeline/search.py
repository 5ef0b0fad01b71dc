"""Searches in the timeline of a case: what its tools found in the stored copy, the case's own entries as they are now, one order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path

import duckdb

from forensics.models.case import CaseView
from forensics.models.timeline import OF_THE_CASE, TimelineSource, TimelineStore
from forensics.report.chronology import TOOL_KIND, Moment
from forensics.timeline.cache import Read, TimelineCache
from forensics.timeline.case_rows import case_moments
from forensics.timeline.columnar import Condition, Entry, found, opened
from forensics.timeline.columns import addresses_in, cursor_of

SECONDS = 20.0
PREPARING = 8.0
_KINDS = {"finding": TimelineSource.FINDING, "custody": TimelineSource.CUSTODY}


@dataclass(frozen=True)
class TimelineSearch:
    """What is asked for; empty asks for nothing. ``since`` is included, ``until`` is not; ``after`` is a cursor."""

    text: str = ""
    kind: str = ""
    source: str = ""
    evidence_id: str = ""
    technique: str = ""
    host: str = ""
    user: str = ""
    address: str = ""
    since: datetime | None = None
    until: datetime | None = None
    after: str = ""

    @property
    def asks(self) -> bool:
        """Whether some entries are left out."""
        return any(getattr(self, f.name) for f in fields(self) if f.name != "after")


@dataclass(frozen=True)
class Found:
    """A page of entries; ``following`` is the cursor of the next one, ``preparing``: the tools' part is not there yet."""

    entries: tuple[Entry, ...]
    following: str | None
    preparing: bool = False


class TimelineSearcher:
    """Searches stored timelines through a cache of copies. Safe to use by several threads."""

    def __init__(self, cache: TimelineCache) -> None:
        self._cache = cache
        self._open = ExitStack()

    @property
    def _database(self) -> duckdb.DuckDBPyConnection:
        return self._database_of(self._cache.folder)

    @lru_cache(maxsize=1)  # noqa: B019 - one searcher lives as long as its process
    def _database_of(self, folder: Path) -> duckdb.DuckDBPyConnection:
        return self._open.enter_context(opened(folder))

    def search(
        self,
        view: CaseView,
        store: TimelineStore,
        read: Read,
        asked: TimelineSearch,
        *,
        limit: int,
        wait: float = PREPARING,
    ) -> Found:
        """A page of the case's timeline. Raises :class:`ForensicsError` when the stored part cannot be read."""
        own = (entry for entry in map(entry_of(view), case_moments(view)) if fits(entry, asked))
        kept, preparing = list[Entry](), False
        if _of_tools(asked) and any(part.source not in OF_THE_CASE for part in store.parts):
            file = self._cache.file(store, read, wait=wait)
            preparing = file is None
            if file is not None:
                kept = found(self._database, file, conditions(asked), limit=limit + 1, seconds=SECONDS)
                kept = [_in_utc(entry) for entry in kept]
        return page_of(own, kept, limit=limit, preparing=preparing)


def page_of(own: Iterable[Entry], kept: Iterable[Entry], *, limit: int, preparing: bool = False) -> Found:
    """One page of the case's own entries and of ``kept``, which are in the cursor's order already."""
    both = list(islice(heapq.merge(sorted(own, key=_order), kept, key=_order), limit + 1))
    shown = both[:limit]
    following = cursor_of(shown[-1].time, shown[-1].key) if len(both) > limit else None
    return Found(tuple(shown), following, preparing)


def _of_tools(asked: TimelineSearch) -> bool:
    return asked.kind in {"", TOOL_KIND} and asked.source not in OF_THE_CASE


def _order(entry: Entry) -> tuple[datetime, str]:
    return entry.time, entry.key


def conditions(asked: TimelineSearch) -> Iterator[Condition]:
    """The search as conditions on the stored copy."""
    if asked.after:
        time, key = place(asked.after)
        yield Condition("time >= ? AND (time > ? OR key > ?)", (time, time, key))
    if asked.since:
        yield Condition("time >= ?", (_stored(asked.since),))
    if asked.until:
        yield Condition("time < ?", (_stored(asked.until),))
    if asked.text:
        yield Condition("contains(folded, lower(?))", (asked.text,))
    for column, value in (("source", asked.source), ("evidence_id", asked.evidence_id), ("host", asked.host)):
        if value:
            yield Condition(f"{column} = ?", (value,))
    if asked.technique:
        yield Condition("(technique = ? OR starts_with(technique, ?))", (asked.technique, f"{asked.technique}."))
    if asked.user:
        yield Condition("contains(lower(user_name), lower(?))", (asked.user,))
    if asked.address:
        yield Condition("list_contains(addresses, ?)", (asked.address,))


def fits(entry: Entry, asked: TimelineSearch) -> bool:
    """The same question to an entry that is here."""
    return (
        (not asked.after or cursor_of(entry.time, entry.key) > asked.after)
        and (not asked.since or entry.time >= asked.since)
        and (not asked.until or entry.time < asked.until)
        and (not asked.text or asked.text.lower() in f"{entry.message} {entry.origin}".lower())
        and all(
            not wanted or wanted == has
            for wanted, has in ((asked.kind, entry.kind), (asked.source, entry.source), (asked.evidence_id, entry.evidence_id), (asked.host, entry.host))
        )
        and (not asked.technique or asked.technique == entry.technique or entry.technique.startswith(f"{asked.technique}."))
        and (not asked.user or asked.user.lower() in entry.user_name.lower())
        and (not asked.address or asked.address in entry.addresses)
    )  # fmt: skip


def entry_of(view: CaseView) -> Callable[[Moment], Entry]:
    """How a moment of the case becomes an entry."""

    def make(moment: Moment) -> Entry:
        source = _KINDS.get(moment.kind, TimelineSource.CASE).value
        return Entry(
            time=moment.time.astimezone(UTC), key=moment.key.rpartition("~")[2], kind=moment.kind, message=moment.what,
            origin=moment.source, evidence_id=moment.evidence_id or "", source=source, severity="", technique="",
            host=view.case.instance_id, user_name="", addresses=tuple(addresses_in(moment.what)), finding_id="",
            timestamp_desc=f"{moment.kind.capitalize()} time", data_type=f"forensics:{moment.kind}",
        )  # fmt: skip

    return make


def place(cursor: str) -> tuple[datetime, str]:
    """Time (as stored, UTC without an offset) and key of a cursor."""
    time, _, key = cursor.partition("~")
    return _stored(datetime.fromisoformat(time)), key


def _stored(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)


def _in_utc(entry: Entry) -> Entry:
    values = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    return Entry(**{**values, "time": entry.time.replace(tzinfo=UTC)})
