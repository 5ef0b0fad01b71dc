"""Parquet by DuckDB: read back by another implementation (Apache Arrow), ordered, and closed to everything else."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forensics.errors import ForensicsError
from forensics.timeline.columnar import Condition, count_rows, found, opened, write_ordered, write_searchable
from forensics.timeline.columns import NAMES, row

START = datetime(2026, 11, 24, tzinfo=UTC)


def rows_file(folder: Path, number: int) -> Path:
    """Rows in reversed order."""
    file = folder / "rows.jsonl"
    made = (
        row(time=START + timedelta(seconds=n), message=f"entry {n}", origin="/x", addresses=["192.0.2.1"])
        for n in reversed(range(number))
    )
    file.write_text("".join(json.dumps(r) + "\n" for r in made))
    return file


def test_another_reader_finds_the_columns_in_order_of_time(tmp_path: Path) -> None:
    target = tmp_path / "part.parquet"
    assert write_ordered(rows_file(tmp_path, 50), target) == 50 == count_rows(target)
    table = pq.read_table(target)
    assert tuple(table.column_names) == NAMES
    assert table.schema.field("time").type == pa.timestamp("us") and table.schema.field("class_uid").type == pa.int32()
    assert pa.types.is_list(table.schema.field("addresses").type)
    times = table["time"].to_pylist()
    assert times == sorted(times) and times[0].isoformat() == "2026-11-24T00:00:00"
    assert table["message"].to_pylist()[0] == "entry 0" and table["addresses"].to_pylist()[0] == ["192.0.2.1"]
    codecs = {pq.read_metadata(target).row_group(0).column(n).compression for n in range(len(NAMES))}
    assert codecs == {"ZSTD"}, "Athena reads it"


def test_the_database_reads_no_other_folder_and_loads_nothing(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with opened(own) as database:
        for statement in (
            f"SELECT * FROM read_csv('{tmp_path}/secret.csv')", "SELECT * FROM read_csv('/etc/passwd')", "INSTALL httpfs", "LOAD httpfs",
            f"COPY (SELECT 1) TO '{tmp_path}/out.csv'", "SET enable_external_access = true", "SET memory_limit = '10GB'",
        ):  # fmt: skip
            with pytest.raises(duckdb.Error):
                database.execute(statement)


def test_a_search_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    target = tmp_path / "copy" / "copy.parquet"
    parts = tmp_path / "copy" / "source=plaso"
    parts.mkdir(parents=True)
    write_ordered(rows_file(parts, 3000), parts / "0.parquet")
    write_searchable([parts / "0.parquet"], target)
    endless = Condition("(SELECT count(*) FROM range(100000000000) r(i) WHERE sqrt(i) + length(message) < -1) = 0", ())
    with opened(target.parent) as database:
        with pytest.raises(ForensicsError, match="longer than 0 s"):
            found(database, target, [endless], limit=5, seconds=0.3)
        assert len(found(database, target, [], limit=5, seconds=10)) == 5, "the next search works"


def test_what_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    broken = tmp_path / "rows.jsonl"
    broken.write_text('{"time": "not a time"}\n')
    with pytest.raises(ForensicsError, match="could not be written") as caught:
        write_ordered(broken, tmp_path / "part.parquet")
    assert "room" in caught.value.next_action
