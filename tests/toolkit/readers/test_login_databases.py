"""wtmpdb and lastlog2 (SQLite) and lastlog, made as their programs make them."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

from forensic_toolkit.readers import login_databases
from forensic_toolkit.readers.coverage import Coverage
from tests.toolkit.fake_tree import Builder

# wtmpdb's lib/sqlite.c and lastlog2's lib/lastlog2.c (thkukuk/wtmpdb, util-linux), the columns in their order.
WTMPDB = (
    "CREATE TABLE wtmp(ID INTEGER PRIMARY KEY, Type INTEGER, User TEXT NOT NULL, Login INTEGER, Logout INTEGER, "
    "TTY TEXT, RemoteHost TEXT, Service TEXT) STRICT"
)
LASTLOG2 = "CREATE TABLE Lastlog2(Name TEXT PRIMARY KEY, Time INTEGER, TTY TEXT, RemoteHost TEXT, Service TEXT)"


def database(folder: Path, *statements: str) -> bytes:
    """The bytes of a database."""
    path = folder / "made.db"
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as made:
        for statement in statements:
            made.execute(statement)
    made.close()
    return path.read_bytes()


def test_log_ins_of_databases_are_read(tmp_path: Path) -> None:
    wtmp = database(
        tmp_path,
        WTMPDB,
        "INSERT INTO wtmp VALUES (1, 1, 'reboot', 1772359200000000, NULL, '~', '6.12', NULL)",
        "INSERT INTO wtmp VALUES (2, 3, 'deploy', 1772359260500000, 1772359320000000, 'pts/0', '198.51.100.7', 'sshd')",
    )
    last = database(
        tmp_path, LASTLOG2, "INSERT INTO Lastlog2 VALUES ('deploy', 1772359260, 'pts/0', '198.51.100.7', 'sshd')"
    )
    old = bytes(292) + struct.pack("<i32s256s", 1772359261, b"pts/1", b"203.0.113.5")
    builder = Builder().add("/var/lib/wtmpdb/wtmp.db", wtmp).add("/var/lib/lastlog/lastlog2.db", last)
    builder.add("/etc/passwd", b"root:x:0:0::/root:/bin/sh\nadm:x:1:1::/:/bin/sh\n").add("/var/log/lastlog", old)
    coverage = Coverage()
    found = {
        path: [(item.kind, item.user, item.host, item.time.isoformat()) for item in records]
        for path, records in login_databases.sessions(builder.tree(), coverage=coverage)
    }
    assert found == {
        "/var/lib/wtmpdb/wtmp.db": [
            (2, "reboot", "6.12", "2026-03-01T10:00:00+00:00"),
            (7, "deploy", "198.51.100.7", "2026-03-01T10:01:00.500000+00:00"),
            (8, "deploy", "198.51.100.7", "2026-03-01T10:02:00+00:00"),
        ],
        "/var/lib/lastlog/lastlog2.db": [(7, "deploy", "198.51.100.7", "2026-03-01T10:01:00+00:00")],
        "/var/log/lastlog": [(7, "adm", "203.0.113.5", "2026-03-01T10:01:01+00:00")],
    }
    assert [item.shortfalls() for item in coverage.artifacts] == [[], [], []]


def test_a_damaged_database_is_named(tmp_path: Path) -> None:
    content = database(tmp_path, WTMPDB)
    coverage = Coverage()
    builder = Builder().add("/var/lib/wtmpdb/wtmp.db", content[:100] + b"\xff" * (len(content) - 100))
    assert list(login_databases.sessions(builder.tree(), coverage=coverage)) == []
    assert "the database cannot be read" in coverage.artifacts[0].shortfalls()[0]
