"""Histories of Chromium and Firefox: databases made by SQLite with the tables that the browsers make, some of it only in the log (-wal)."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from forensic_toolkit.readers import browsers
from forensic_toolkit.readers.coverage import Coverage
from tests.toolkit import browser_databases as made
from tests.toolkit.examined import ROOT
from tests.toolkit.fake_tree import LATER, Builder

CHROME = "/Users/kim/AppData/Local/Google/Chrome/User Data/Default/History"
FIREFOX = "/home/kim/.mozilla/firefox/a1.default-release/places.sqlite"
URL, PATH = "https://203.0.113.9/u.exe", r"C:\Users\kim\Downloads\u.exe"


def _read(builder: Builder) -> tuple[list[browsers.History], Coverage]:
    coverage = Coverage()
    return list(browsers.histories(builder.tree(), coverage=coverage)), coverage


def test_visits_and_downloads_of_chromium_also_from_its_log(tmp_path: Path) -> None:
    files = made.chromium(
        tmp_path, visits=[("https://a.example/", "A", LATER)], downloads=[(URL, PATH, LATER, 6)], in_log=True
    )
    builder = Builder()
    for suffix, content in files.items():
        builder.add(CHROME + suffix, content)
    assert set(files) == {"", "-wal"}
    (history,), coverage = _read(builder)
    assert (history.user, history.browser) == ("kim", "Chrome")
    assert history.visits == [browsers.Visit(LATER, "https://a.example/", "A")]
    (download,) = history.downloads
    assert (download.url, download.path, download.time, download.state) == (URL, PATH, LATER, "complete")
    assert download.ended == LATER + timedelta(seconds=3) and "kept" in download.danger
    (artifact,) = coverage.artifacts
    assert (artifact.lines, artifact.parsed, artifact.shortfalls()) == (2, 2, [])


def test_visits_and_downloads_of_firefox(tmp_path: Path) -> None:
    content = made.firefox(
        tmp_path, visits=[("https://b.example/", "B", LATER)], downloads=[(URL, "file:///C:/a%20b.exe", LATER)]
    )
    (history,), _ = _read(Builder().add(FIREFOX, content))
    assert (history.browser, history.visits[0].url, history.visits[0].time) == ("Firefox", "https://b.example/", LATER)
    (download,) = history.downloads
    assert (download.url, download.path, download.time, download.bytes) == (URL, "C:\\a b.exe", LATER, 77)


@pytest.mark.parametrize(
    ("path", "browser", "user"),
    [
        ("/root/.config/chromium/Profile 1/History", "Chromium", "root"),
        ("/home/eve/snap/chromium/common/chromium/Default/History", "Chromium", "eve"),
        ("/home/eve/.config/BraveSoftware/Brave-Browser/Default/History", "Brave", "eve"),
        ("/USERS/Eve/AppData/Local/Microsoft/Edge/User Data/Default/History", "Edge", "Eve"),
        (
            "/Windows/System32/config/systemprofile/AppData/Local/Google/Chrome/User Data/Default/History",
            "Chrome",
            "the system",
        ),
        ("/Users/eve/AppData/Roaming/Opera Software/Opera Stable/History", "Opera", "eve"),
        ("/home/eve/.history/History", "", ""),
    ],
)
def test_places_of_browsers(tmp_path: Path, path: str, browser: str, user: str) -> None:
    content = made.chromium(tmp_path, visits=[("https://a.example/", "A", LATER)], downloads=[])[""]
    found, _ = _read(Builder().add(path, content))
    assert [(one.browser, one.user) for one in found] == ([(browser, user)] if browser else [])


def test_a_damaged_database_costs_itself_only(tmp_path: Path) -> None:
    good = made.chromium(tmp_path, visits=[("https://a.example/", "A", LATER)], downloads=[])[""]
    builder = Builder().add("/root/.config/chromium/Default/History", b"SQLite format 3\0" + bytes(5000))
    builder.add("/root/.config/chromium/Other/History", good).add("/root/.config/chromium/Cut/History", good[:8192])
    found, coverage = _read(builder)
    assert sum(len(one.visits) for one in found) >= 1
    short = {artifact.path.split("/")[-2]: artifact.shortfalls() for artifact in coverage.artifacts}
    assert short["Default"] and short["Cut"] and not short["Other"]


def test_limits_keep_the_newest_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsers, "MOST_VISITS", 3)
    visits: list[tuple[str, str, datetime]] = [
        (f"https://a.example/{number}", "", LATER + timedelta(seconds=number)) for number in range(5)
    ]
    found, coverage = _read(Builder().add(CHROME, made.chromium(tmp_path, visits=visits, downloads=[])[""]))
    assert [visit.url[-1] for visit in found[0].visits] == ["4", "3", "2"]
    assert coverage.artifacts[0].shortfalls() == ["more than 3 entries; the newest 3 were read"]


def test_values_of_other_types_and_a_crafted_schema(tmp_path: Path) -> None:
    path = tmp_path / "History"
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE urls(id INTEGER PRIMARY KEY, url, title);"
            "CREATE VIEW visits AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x AS url, x AS visit_time FROM n;"
            "CREATE TABLE downloads(id INTEGER, current_path, target_path, start_time, received_bytes, total_bytes, state, danger_type, end_time);"
            "CREATE TABLE downloads_url_chains(id, chain_index, url);"
            "INSERT INTO downloads VALUES(1, x'ff41', NULL, 'yesterday', 'many', 0, 'x', 2.5, 9e99);"
        )
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as change:
        change.setattr(browsers.sqlite_copies, "SECONDS", 0.0)  # the endless view is stopped at once
        (history,), coverage = _read(Builder().add(CHROME, path.read_bytes()))
    assert history.visits == [] and any("visits" in why for why in coverage.artifacts[0].shortfalls())
    assert [(one.time, one.path) for one in history.downloads] == [(None, "\ufffdA")]


def test_the_limits_that_the_document_names() -> None:
    page = (ROOT / "docs" / "investigation.md").read_text("utf-8")
    assert f"the newest {browsers.MOST_VISITS:,} visits and {browsers.MOST_DOWNLOADS:,} downloads are taken" in page
