"""DuckDB, which writes and searches the Parquet files of timelines: with limits, without network, extensions or other folders.

All statements are built of this module's own words; values are parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Timer

import duckdb

from forensics.errors import ForensicsError
from forensics.timeline.columns import COLUMNS, NAMES

# Entries of a row group: what a search that need not read further leaves out, and how much two threads share.
ROW_GROUP = 20_480
MEMORY_MIB = 512
THREADS = 2
_LONGEST_ROW = 4 * 1024 * 1024
_TYPES = "{" + ", ".join(f"{c.name}: '{c.duckdb}'" for c in COLUMNS) + "}"
_ORDERED = (
    f"SELECT {', '.join(NAMES)} FROM read_json(?, format = 'newline_delimited', columns = {_TYPES}, "  # noqa: S608 - own words alone
    f"maximum_object_size = {_LONGEST_ROW}) ORDER BY time, key"
)
_FOLDED = (
    f"SELECT {', '.join(NAMES)}, source, lower(message || ' ' || origin) AS folded "  # noqa: S608 - own words alone
    "FROM read_parquet(?, hive_partitioning = true) ORDER BY time, key"
)
STORED = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}"
_LINES = "FORMAT json"
_TIMESKETCH = (
    "SELECT message, strftime(time, '%Y-%m-%dT%H:%M:%S.%f+00:00') AS datetime, epoch_us(time) AS timestamp, "
    "CASE WHEN timestamp_desc = '' THEN 'Event time' ELSE timestamp_desc END AS timestamp_desc, data_type, origin AS source, "
    "? AS forensics_source, ? AS case_id, evidence_id, finding_id, severity, technique, host, user_name AS username, "
    "addresses, account_id, region, key AS event_key, [?] AS tag FROM read_parquet(?) ORDER BY time, key LIMIT ?"
)
# A copy for searches alone: quick to read, and large.
_SEARCHED = f"FORMAT parquet, COMPRESSION lz4_raw, PARQUET_VERSION v2, ROW_GROUP_SIZE {ROW_GROUP}"


@contextmanager
def opened(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database in memory that reads and writes below ``folder`` alone, and spills there."""
    connection = duckdb.connect(
        config={
            "threads": THREADS,
            "memory_limit": f"{MEMORY_MIB}MiB",
            "temp_directory": str(folder / "spill"),
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "allow_community_extensions": "false",
        }
    )
    try:
        connection.execute("SET parquet_metadata_cache = true")
        connection.execute(f"SET allowed_directories = [{_quoted(folder)}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        yield connection
    finally:
        connection.close()


def write_ordered(lines: Path, target: Path) -> int:
    """Write rows (one JSON object a line) as Parquet, ordered by time and key; returns how many. Memory stays bounded."""
    with opened(target.parent) as database:
        return _copied(database, _ORDERED, str(lines), target, STORED)


def write_typed(lines: Path, target: Path, columns: Mapping[str, str], *, order: str) -> int:
    """Write rows with other columns (name → type of DuckDB, of this package's own words), ordered by one of them."""
    types = "{" + ", ".join(f"{name}: '{kind}'" for name, kind in columns.items()) + "}"
    listed = ", ".join(columns)
    select = (
        f"SELECT {listed} FROM read_json(?, format = 'newline_delimited', columns = {types}, "  # noqa: S608 - own words alone
        f"maximum_object_size = {_LONGEST_ROW}) ORDER BY {order}"
    )
    with opened(target.parent) as database:
        return _copied(database, select, str(lines), target, STORED)


def write_searchable(files: Sequence[Path], target: Path) -> int:
    """Write one file of several, with a column ``folded`` that free text is looked for in; ``source`` is in their paths."""
    with opened(target.parent) as database:
        return _copied(database, _FOLDED, [str(file) for file in files], target, _SEARCHED)


def count_rows(file: Path) -> int:
    """How many entries a Parquet file has."""
    with opened(file.parent) as database:
        found = database.execute("SELECT count(*) FROM read_parquet(?)", [str(file)]).fetchone()
    return int(found[0]) if found else 0


def write_timesketch(file: Path, target: Path, *, source: str, case_id: str, most: int) -> int:
    """Write at most ``most`` entries of a Parquet file in Timesketch's form, one JSON object a line; returns how many. Memory stays bounded.

    ``message``, ``datetime`` and ``timestamp_desc`` are what its importer requires (timesketch.org, *Import from JSON or CSV*).
    """
    with opened(target.parent) as database:
        return _copied(database, _TIMESKETCH, [source, case_id, f"forensics-{source}", str(file), most], target, _LINES)


def _copied(database: duckdb.DuckDBPyConnection, select: str, source: object, target: Path, form: str) -> int:
    values = source if form is _LINES else [source]
    try:
        made = database.execute(f"COPY ({select}) TO {_quoted(target)} ({form})", values).fetchone()
    except duckdb.Error as error:
        msg = f"the timeline could not be written as Parquet: {str(error)[:500]}"
        raise ForensicsError(
            msg, next_action="see that the worker's temporary folder has room, then clear the task"
        ) from error
    return int(made[0]) if made else 0


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


@dataclass(frozen=True)
class Condition:
    """A part of a WHERE clause and its parameters."""

    sql: str
    values: tuple[object, ...]


@dataclass(frozen=True)
class Entry:
    """One entry that a search found."""

    time: datetime
    key: str
    kind: str
    message: str
    origin: str
    evidence_id: str
    source: str
    severity: str
    technique: str
    host: str
    user_name: str
    addresses: tuple[str, ...]
    finding_id: str
    timestamp_desc: str
    data_type: str


_SHOWN = ", ".join(Entry.__dataclass_fields__)


def found(
    database: duckdb.DuckDBPyConnection, file: Path, conditions: Iterable[Condition], *, limit: int, seconds: float
) -> list[Entry]:
    """The first entries that meet all conditions, by time and key. Raises :class:`ForensicsError` when it takes too long."""
    wanted = list(conditions)
    where = f" WHERE {' AND '.join(c.sql for c in wanted)}" if wanted else ""
    statement = f"SELECT {_SHOWN} FROM read_parquet(?){where} ORDER BY time, key LIMIT ?"  # noqa: S608 - own words alone
    cursor = database.cursor()
    timer = Timer(seconds, cursor.interrupt)
    timer.start()
    try:
        rows = cursor.execute(statement, [str(file), *(v for c in wanted for v in c.values), limit]).fetchall()
    except duckdb.InterruptException:
        msg = f"the search took longer than {seconds:.0f} s"
        raise ForensicsError(msg, next_action="name a shorter span of time, then search again") from None
    except duckdb.Error as error:
        msg = f"the stored timeline could not be searched: {str(error)[:300]}"
        raise ForensicsError(msg, next_action="search again; if it stays so, restart the web server") from error
    finally:
        timer.cancel()
        cursor.close()
    return [_entry(row) for row in rows]


def _entry(row: tuple[object, ...]) -> Entry:
    values = dict(zip(Entry.__dataclass_fields__, row, strict=True))
    texts = {name: str(value or "") for name, value in values.items() if name not in {"time", "addresses"}}
    addresses = values["addresses"]
    time = values["time"]
    if not isinstance(time, datetime):
        msg = "an entry of the stored timeline has no time"
        raise ForensicsError(msg)
    return Entry(
        time=time, addresses=tuple(map(str, addresses)) if isinstance(addresses, list) else (), **texts
    )  # fmt: skip
