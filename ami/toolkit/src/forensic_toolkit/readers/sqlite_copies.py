"""SQLite databases of the evidence, read from a copy together with the write-ahead log or the journal that a running system left."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree

MAX_DATABASE = 256 << 20
SECONDS = 30.0


@contextmanager
def opened(entry: Entry, *, tree: Tree) -> Iterator[sqlite3.Connection]:
    """A database, opened. Raises OSError when it is too large; its queries raise sqlite3.Error when it is damaged or takes too long."""
    if entry.size > MAX_DATABASE:
        raise OSError(f"{entry.size} bytes exceed the limit of {MAX_DATABASE}")
    deadline = time.monotonic() + SECONDS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.db"
        path.write_bytes(entry.read(limit=MAX_DATABASE))
        for suffix in ("-wal", "-journal"):
            beside = tree.get(entry.path + suffix)
            if beside is not None and beside.is_file and beside.size <= MAX_DATABASE:
                Path(f"{path}{suffix}").write_bytes(beside.read(limit=MAX_DATABASE))
        with closing(sqlite3.connect(path)) as database:
            database.row_factory = sqlite3.Row
            # A name or text that is no UTF-8 must not cost the row.
            database.text_factory = lambda raw: raw.decode("utf-8", "replace")
            database.execute("PRAGMA trusted_schema = OFF")
            database.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
            yield database


def columns(database: sqlite3.Connection, table: str) -> set[str]:
    """The names of a table's columns; empty when there is no such table."""
    return {str(row["name"]) for row in database.execute("SELECT name FROM pragma_table_info(?)", (table,))}
