"""Histories and downloads of browsers: Chromium and what is built on it, Firefox; on Windows and on Linux.

Sources: Chromium's ``components/history/core/browser`` (tables urls, visits, downloads, downloads_url_chains; times in microseconds since
1601) and ``download_danger_type.h``; Firefox' ``nsPlacesTables.h`` and ``DownloadHistory.sys.mjs`` (microseconds since 1970, in the
annotation milliseconds), for the time before Firefox 26 ``downloads.sqlite``.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import sqlite_copies
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.times import from_filetime, from_ns

KIND, WINDOWS_KIND = "browser history", "browser history (Windows)"
_CHROMIUM = r"(google/chrome[^/]*|google-chrome[^/]*|chromium[^/]*|microsoft/edge[^/]*|microsoft-edge[^/]*|bravesoftware/brave-browser[^/]*|vivaldi[^/]*|opera[^/]*|yandex/yandexbrowser)"
_WINDOWS_HOMES = (
    r"/(users/[^/]+|windows/system32/config/systemprofile|windows/serviceprofiles/[^/]+)/appdata/(local|roaming)"
)
_LINUX_HOMES = r"/(root|home/[^/]+|var/lib/[^/]+)"
_PLACES = r"(places|downloads)\.sqlite"
WINDOWS_FILES = rf"(?i:{_WINDOWS_HOMES}/({_CHROMIUM}(/[^/]+){{1,3}}/history|mozilla/firefox/profiles/[^/]+/{_PLACES}))"
FILES = (
    rf"{_LINUX_HOMES}/(\.config|snap/[^/]+/(common|\d+)(/\.config)?|\.var/app/[^/]+/config)/(?i:{_CHROMIUM})(/[^/]+){{1,2}}/History"
    rf"|{_LINUX_HOMES}/(\.mozilla|\.config/mozilla|snap/firefox/common/\.mozilla|\.var/app/[^/]+/\.mozilla)/firefox/[^/]+/{_PLACES}"
)
MOST_VISITS, MOST_DOWNLOADS, MOST_ALTOGETHER = 50_000, 20_000, 100_000
MOST_TEXT = 1_000  # characters of an address or a title, as many as the timeline shows
_STATES = {0: "in progress", 1: "complete", 2: "cancelled", 4: "interrupted"}
_FIREFOX_STATES = {
    0: "in progress",
    1: "complete",
    2: "failed",
    3: "cancelled",
    4: "paused",
    6: "blocked",
    8: "blocked",
}
# What the browser itself thinks is dangerous; 6 is a warning that the user answered with "keep".
_DANGERS = {2, 3, 7, 8, 16, 19}
_KEPT = 6
_NAMES = (
    ("google", "Chrome"), ("brave", "Brave"), ("edge", "Edge"), ("vivaldi", "Vivaldi"), ("opera", "Opera"), ("yandex", "Yandex"),
    ("chromium", "Chromium"), ("mozilla", "Firefox"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit of a page."""

    time: datetime
    url: str
    title: str


@dataclass(frozen=True, slots=True)
class Download:
    """One download; ``danger`` is what the browser said of it, empty for nothing."""

    time: datetime | None
    url: str
    path: str
    bytes: int
    state: str
    ended: datetime | None = None
    danger: str = ""
    referrer: str = ""

    @property
    def name(self) -> str:
        """The file's name."""
        return re.split(r"[\\/]", self.path)[-1]


@dataclass(slots=True)
class History:
    """What one database holds, the newest first."""

    entry: Entry
    visits: list[Visit] = field(default_factory=list)
    downloads: list[Download] = field(default_factory=list)

    @property
    def user(self) -> str:
        """Whose browser it is, by the path."""
        match = re.match(r"/(?:users|home|windows/serviceprofiles|var/lib)/([^/]+)", self.entry.path, re.IGNORECASE)
        return match[1] if match else "root" if self.entry.path.startswith("/root/") else "the system"

    @property
    def browser(self) -> str:
        """The browser's name, by the path."""
        path = self.entry.path.lower()
        return next((name for word, name in _NAMES if word in path), "a browser")


def histories(tree: Tree, *, coverage: Coverage) -> Iterator[History]:
    """Every database that can be read; damaged ones and what was cut are in the coverage."""
    count = 0
    for kind, pattern in ((KIND, FILES), (WINDOWS_KIND, WINDOWS_FILES)):
        for entry in tree.files(pattern):
            artifact = coverage.add(Artifact(kind, entry.path, entry.size))
            if count > MOST_ALTOGETHER:
                artifact.problems.append(f"not read: the histories before it have more than {MOST_ALTOGETHER} entries")
                continue
            history = History(entry)
            try:
                with sqlite_copies.opened(entry, tree=tree) as database:
                    _read(database, history, artifact)
            except (sqlite3.Error, OSError) as error:
                artifact.problems.append(f"the database cannot be read: {error}")
            count += len(history.visits) + len(history.downloads)
            yield history


def _read(database: sqlite3.Connection, history: History, artifact: Artifact) -> None:
    known = False
    for table, column, most, reader, found in (
        ("visits", "visit_time", MOST_VISITS, _chromium_visits, history.visits),
        ("downloads", "start_time", MOST_DOWNLOADS, _chromium_downloads, history.downloads),
        ("moz_historyvisits", "visit_date", MOST_VISITS, _firefox_visits, history.visits),
        ("moz_annos", "dateAdded", MOST_DOWNLOADS, _firefox_downloads, history.downloads),
        ("moz_downloads", "startTime", MOST_DOWNLOADS, _old_firefox_downloads, history.downloads),
    ):
        there = sqlite_copies.columns(database, table)
        if column not in there:
            continue
        known = True
        # A damaged page costs one table, and of it what lies behind the page.
        try:
            _take(reader(database, there, most), found, artifact, most=most)
        except sqlite3.Error as error:
            artifact.problems.append(f"{table}: {error}")
    if not known:
        artifact.problems.append("it holds none of the tables of a browser's history")
    elif not artifact.lines and not artifact.problems:
        artifact.bytes = 0  # a history that was cleared or never used


def _take(rows: Iterable[Any], found: list[Any], artifact: Artifact, *, most: int) -> None:
    for number, row in enumerate(rows, start=1):
        if number > most:
            artifact.problems.append(f"more than {most} entries; the newest {most} were read")
            return
        artifact.lines += 1
        if row is None:
            continue
        found.append(row)
        if row.time is None:
            artifact.parsed += 1
        else:
            artifact.understood(row.time)


def _chromium_visits(database: sqlite3.Connection, _: set[str], most: int) -> Iterator[Visit | None]:
    query = "SELECT visit_time, u.url, title FROM visits v JOIN urls u ON u.id = v.url ORDER BY visit_time DESC LIMIT ?"
    for row in database.execute(query, (most + 1,)):
        yield _visit(_webkit(row["visit_time"]), row)


def _firefox_visits(database: sqlite3.Connection, _: set[str], most: int) -> Iterator[Visit | None]:
    query = (
        "SELECT visit_date, url, title FROM moz_historyvisits v JOIN moz_places p ON p.id = v.place_id "
        "ORDER BY visit_date DESC LIMIT ?"
    )
    for row in database.execute(query, (most + 1,)):
        yield _visit(_micro(row["visit_date"]), row)


def _visit(moment: datetime | None, row: sqlite3.Row) -> Visit | None:
    return Visit(moment, _text(row["url"]), _text(row["title"])) if moment else None


def _chromium_downloads(database: sqlite3.Connection, there: set[str], most: int) -> Iterator[Download]:
    """The present form, and that of before 2012 with address and path in the row."""
    if "url" in there and "full_path" in there:
        query = "SELECT *, url AS source FROM downloads ORDER BY start_time DESC LIMIT ?"
    else:
        query = (
            "SELECT *, (SELECT url FROM downloads_url_chains c WHERE c.id = d.id ORDER BY chain_index DESC LIMIT 1) AS source "
            "FROM downloads d ORDER BY start_time DESC LIMIT ?"
        )
    for row in database.execute(query, (most + 1,)):
        kinds = _optional(row, there)
        webkit = _webkit if _count(row["start_time"]) > 10**15 else _seconds
        danger = _count(kinds("danger_type"))
        said = "the browser warned of it as dangerous" if danger in _DANGERS else ""
        yield Download(
            time=webkit(row["start_time"]),
            url=_text(row["source"]),
            path=_text(kinds("target_path") or kinds("current_path") or kinds("full_path")),
            bytes=_count(row["received_bytes"]),
            state=_STATES.get(_count(row["state"]), "unknown"),
            ended=_webkit(kinds("end_time")),
            danger="the user kept it in spite of the browser's warning" if danger == _KEPT else said,
            referrer=_text(kinds("tab_url") or kinds("referrer")),
        )


def _firefox_downloads(database: sqlite3.Connection, _: set[str], most: int) -> Iterator[Download]:
    """Downloads of Firefox 26 and later: the annotations of a place."""
    query = (
        "SELECT a.place_id, a.dateAdded, a.content, p.url, (SELECT content FROM moz_annos m JOIN moz_anno_attributes b "
        "ON b.id = m.anno_attribute_id WHERE m.place_id = a.place_id AND b.name = 'downloads/metaData') AS facts "
        "FROM moz_annos a JOIN moz_anno_attributes n ON n.id = a.anno_attribute_id JOIN moz_places p ON p.id = a.place_id "
        "WHERE n.name = 'downloads/destinationFileURI' ORDER BY a.dateAdded DESC LIMIT ?"
    )
    for row in database.execute(query, (most + 1,)):
        facts: dict[str, Any] = {}
        with suppress(ValueError):
            loaded = json.loads(_text(row["facts"]) or "{}")
            facts = loaded if isinstance(loaded, dict) else {}
        ended = facts.get("endTime")
        yield Download(
            time=_micro(row["dateAdded"]),
            url=_text(row["url"]),
            path=path_of(_text(row["content"])),
            bytes=_count(facts.get("fileSize")),
            state=_FIREFOX_STATES.get(_count(facts.get("state", -1)), "unknown"),
            ended=_micro(ended * 1000) if isinstance(ended, int) else None,
        )


def _old_firefox_downloads(database: sqlite3.Connection, _: set[str], most: int) -> Iterator[Download]:
    for row in database.execute("SELECT * FROM moz_downloads ORDER BY startTime DESC LIMIT ?", (most + 1,)):
        yield Download(
            time=_micro(row["startTime"]),
            url=_text(row["source"]),
            path=path_of(_text(row["target"])),
            bytes=_count(row["currBytes"]),
            state=_FIREFOX_STATES.get(_count(row["state"]), "unknown"),
            ended=_micro(row["endTime"]),
            referrer=_text(row["referrer"]),
        )


def path_of(uri: str) -> str:
    """The path of a ``file:`` URI, with backslashes where it begins with a drive."""
    path = unquote(urlsplit(uri).path) if uri.startswith("file:") else uri
    return path[1:].replace("/", "\\") if re.match(r"/[A-Za-z]:/", path) else path


def _optional(row: sqlite3.Row, there: set[str]) -> Callable[[str], Any]:
    return lambda name: row[name] if name in there else None


def _text(value: Any) -> str:
    """A value as text: the types of SQLite's columns bind nobody."""
    if isinstance(value, bytes):
        return value[: 4 * MOST_TEXT].decode("utf-8", "replace")[:MOST_TEXT]
    return "" if value is None else str(value)[:MOST_TEXT]


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _webkit(value: Any) -> datetime | None:
    return from_filetime(value * 10) if isinstance(value, int) else None


def _micro(value: Any) -> datetime | None:
    return from_ns(value * 1000) if isinstance(value, int) and value > 0 else None


def _seconds(value: Any) -> datetime | None:
    return _micro(value * 1_000_000) if isinstance(value, int) else None
