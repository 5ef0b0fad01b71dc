"""Databases of browsers, made by SQLite: the tables of Chromium 120 and Firefox 115, as far as they are read."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from tests.toolkit.fake_tree import ns
from tests.toolkit.shortcut_blobs import filetime


def chromium(
    folder: Path,
    *,
    visits: list[tuple[str, str, datetime]],
    downloads: list[tuple[str, str, datetime, int]],
    in_log: bool = False,
) -> dict[str, bytes]:
    """Contents of ``History`` by suffix: (URL, title, time) of visits, (URL, path, time, danger) of downloads; ``in_log``: in its -wal."""
    path = folder / "History"
    with closing(sqlite3.connect(path)) as database:
        if in_log:
            database.execute("PRAGMA journal_mode = WAL")
        database.executescript(
            "CREATE TABLE urls(id INTEGER PRIMARY KEY AUTOINCREMENT, url LONGVARCHAR, title LONGVARCHAR, visit_count INTEGER DEFAULT 0 NOT NULL,"
            " typed_count INTEGER DEFAULT 0 NOT NULL, last_visit_time INTEGER NOT NULL, hidden INTEGER DEFAULT 0 NOT NULL);"
            "CREATE TABLE visits(id INTEGER PRIMARY KEY AUTOINCREMENT, url INTEGER NOT NULL, visit_time INTEGER NOT NULL, from_visit INTEGER);"
            "CREATE TABLE downloads(id INTEGER PRIMARY KEY, guid VARCHAR NOT NULL, current_path LONGVARCHAR NOT NULL, target_path LONGVARCHAR NOT NULL,"
            " start_time INTEGER NOT NULL, received_bytes INTEGER NOT NULL, total_bytes INTEGER NOT NULL, state INTEGER NOT NULL,"
            " danger_type INTEGER NOT NULL, end_time INTEGER NOT NULL, opened INTEGER NOT NULL, referrer VARCHAR NOT NULL, tab_url VARCHAR NOT NULL);"
            "CREATE TABLE downloads_url_chains(id INTEGER NOT NULL, chain_index INTEGER NOT NULL, url LONGVARCHAR NOT NULL);"
        )
        for number, (url, title, moment) in enumerate(visits, start=1):
            database.execute(
                "INSERT INTO urls(id, url, title, last_visit_time) VALUES(?, ?, ?, 0)", (number, url, title)
            )
            database.execute("INSERT INTO visits(url, visit_time) VALUES(?, ?)", (number, filetime(moment) // 10))
        for number, (url, target, moment, danger) in enumerate(downloads, start=1):
            times = filetime(moment) // 10, filetime(moment + timedelta(seconds=3)) // 10
            row = (
                number,
                "",
                target,
                target,
                times[0],
                500,
                500,
                1,
                danger,
                times[1],
                0,
                "",
                "https://portal.example/",
            )
            database.execute(f"INSERT INTO downloads VALUES({', '.join('?' * len(row))})", row)
            chain = [(number, 0, "https://redirect.example/"), (number, 1, url)]
            database.executemany("INSERT INTO downloads_url_chains VALUES(?, ?, ?)", chain)
        database.commit()
        copies = {}
        for suffix in ("", "-wal"):
            beside = Path(f"{path}{suffix}")
            if beside.exists():
                copies[suffix] = Path(shutil.copy(beside, folder / f"copy{suffix}")).read_bytes()
    path.unlink()
    return copies


def firefox(
    folder: Path, *, visits: list[tuple[str, str, datetime]], downloads: list[tuple[str, str, datetime]]
) -> bytes:
    """The content of ``places.sqlite``: (URL, title, time) of visits, (URL, URI of the file, time) of downloads."""
    path = folder / "places.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            "CREATE TABLE moz_places(id INTEGER PRIMARY KEY, url LONGVARCHAR, title LONGVARCHAR, visit_count INTEGER DEFAULT 0);"
            "CREATE TABLE moz_historyvisits(id INTEGER PRIMARY KEY, from_visit INTEGER, place_id INTEGER, visit_date INTEGER, visit_type INTEGER);"
            "CREATE TABLE moz_annos(id INTEGER PRIMARY KEY, place_id INTEGER NOT NULL, anno_attribute_id INTEGER, content LONGVARCHAR,"
            " dateAdded INTEGER DEFAULT 0, lastModified INTEGER DEFAULT 0);"
            "CREATE TABLE moz_anno_attributes(id INTEGER PRIMARY KEY, name VARCHAR(32) UNIQUE NOT NULL);"
            "INSERT INTO moz_anno_attributes VALUES(1, 'downloads/destinationFileURI'), (2, 'downloads/metaData');"
        )
        for number, (url, title, moment) in enumerate(visits, start=1):
            database.execute("INSERT INTO moz_places(id, url, title) VALUES(?, ?, ?)", (number, url, title))
            visited = (number, ns(moment) // 1000)
            database.execute("INSERT INTO moz_historyvisits(place_id, visit_date, visit_type) VALUES(?, ?, 1)", visited)
        for number, (url, uri, moment) in enumerate(downloads, start=1000):
            database.execute("INSERT INTO moz_places(id, url) VALUES(?, ?)", (number, url))
            facts = json.dumps({"state": 1, "endTime": ns(moment) // 1_000_000, "fileSize": 77})
            for kind, content in ((1, uri), (2, facts)):
                row = (number, kind, content, ns(moment) // 1000)
                database.execute(
                    "INSERT INTO moz_annos(place_id, anno_attribute_id, content, dateAdded) VALUES(?, ?, ?, ?)", row
                )
        database.commit()
    content = path.read_bytes()
    path.unlink()
    return content
