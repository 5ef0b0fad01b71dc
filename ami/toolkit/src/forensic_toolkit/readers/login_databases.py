"""Log-ins in SQLite databases: wtmpdb and lastlog2, which replace wtmp and lastlog on newer systems; and lastlog itself.

Sources: wtmpdb(8) and lastlog2(8) with their schemas (times of wtmpdb in microseconds, of lastlog2 in seconds); lastlog(8).
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import sqlite_copies
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.readers.login_logs import Session

WTMPDB = r"/var/(lib/wtmpdb|log)/wtmp[^/]*\.db"
LASTLOG2 = r"/var/lib/lastlog/lastlog2\.db"
LASTLOG = r"/var/log/lastlog"
KIND = "log-in records"
_LASTLOG = struct.Struct("<i32s256s")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOOT, _USER = 1, 3  # wtmpdb's own numbers of types
_UTMP_BOOT, _UTMP_LOGIN, _UTMP_LOGOUT = 2, 7, 8


def sessions(tree: Tree, *, coverage: Coverage) -> Iterator[tuple[str, list[Session]]]:
    """(path, records) of every database and of lastlog, in the form of utmp records."""
    for pattern, reader in ((WTMPDB, _wtmpdb), (LASTLOG2, _lastlog2)):
        for entry in tree.files(pattern):
            artifact = coverage.add(Artifact(KIND, entry.path, entry.size))
            try:
                rows = _rows(entry, tree=tree, query=reader[0])
            except (sqlite3.Error, OSError) as error:
                artifact.problems.append(f"the database cannot be read: {error}")
                continue
            artifact.lines = len(rows)
            found = [session for row in rows for session in reader[1](row)]
            artifact.parsed = len(rows)
            _times(artifact, found)
            if not rows:
                artifact.bytes = 0
            yield entry.path, found
    for entry in tree.files(LASTLOG):
        artifact = coverage.add(Artifact(KIND, entry.path, entry.size))
        found = list(_lastlog(entry, tree=tree))
        artifact.lines = len(found)
        artifact.parsed = len(found)
        _times(artifact, found)
        if not found:
            artifact.bytes = 0
        yield entry.path, found


def _times(artifact: Artifact, found: list[Session]) -> None:
    moments = [session.time for session in found]
    artifact.first, artifact.last = min(moments, default=None), max(moments, default=None)


def _rows(entry: Entry, *, tree: Tree, query: str) -> list[sqlite3.Row]:
    with sqlite_copies.opened(entry, tree=tree) as database:
        return list(database.execute(query))


def _from_wtmpdb(row: sqlite3.Row) -> Iterator[Session]:
    began, ended = _moment(row["Login"], scale=1_000_000), _moment(row["Logout"], scale=1_000_000)
    kind = {_BOOT: _UTMP_BOOT, _USER: _UTMP_LOGIN}.get(row["Type"], 0)
    line, user, host = (str(row[name] or "") for name in ("TTY", "User", "RemoteHost"))
    if kind and began:
        yield Session(kind, 0, line, user, host, began)
    if kind == _UTMP_LOGIN and ended:
        yield Session(_UTMP_LOGOUT, 0, line, user, host, ended)


def _from_lastlog2(row: sqlite3.Row) -> Iterator[Session]:
    moment = _moment(row["Time"], scale=1)
    if moment:
        yield Session(
            _UTMP_LOGIN, 0, str(row["TTY"] or ""), str(row["Name"] or ""), str(row["RemoteHost"] or ""), moment
        )


_wtmpdb: tuple[str, Any] = ("SELECT Type, User, Login, Logout, TTY, RemoteHost FROM wtmp ORDER BY ID", _from_wtmpdb)
_lastlog2: tuple[str, Any] = ("SELECT Name, Time, TTY, RemoteHost FROM Lastlog2", _from_lastlog2)


def _lastlog(entry: Entry, *, tree: Tree) -> Iterator[Session]:
    """The last log-in of each user id that /etc/passwd knows: the file is sparse and indexed by id."""
    for line in tree.text("/etc/passwd").splitlines():
        fields = line.split(":")
        if len(fields) < 3 or not fields[2].isdigit() or (int(fields[2]) + 1) * _LASTLOG.size > entry.size:
            continue
        record = entry.read(limit=_LASTLOG.size, offset=int(fields[2]) * _LASTLOG.size)
        if len(record) == _LASTLOG.size and any(record):
            seconds, terminal, host = _LASTLOG.unpack(record)
            moment = _moment(seconds, scale=1)
            if moment:
                yield Session(_UTMP_LOGIN, 0, _plain(terminal), fields[0], _plain(host), moment)


def _plain(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "backslashreplace")


def _moment(value: object, *, scale: int) -> datetime | None:
    if not isinstance(value, int) or value <= 0:
        return None
    try:
        return _EPOCH + timedelta(microseconds=value * 1_000_000 // scale)
    except OverflowError:
        return None
