"""Rows of flow log files in Parquet as lines of text. Runs in the confined process alone: the format's reader is a large program.

Names of the columns are those of the fields with ``_`` for ``-`` (Amazon VPC user guide, *Flow log files*); a field that does not apply is
null or "-". pyarrow gets no threads and no arenas of its own: the process that reads has little address space.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from forensics.cloud_evidence.flow_lines import FIELDS, NEEDED

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"PAR1"
_BATCH = 16_384
# A row group is unpacked column by column; AWS closes a file at 75 MB.
MOST_ROWS, MOST_PLAIN = 50_000_000, 1024 * 1024 * 1024


class ParquetError(Exception):
    """A file that cannot be read, and why."""


def rows(body: bytes, interfaces: Sequence[str], addresses: Sequence[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Fields and line of each row of these interfaces; where the file has no interfaces, of these addresses.

    Raises :class:`ParquetError`.
    """
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    os.environ.setdefault("ARROW_IO_THREADS", "1")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as missing:
        msg = f"it is Parquet, and pyarrow is not installed (requirements.txt): {missing}"
        raise ParquetError(msg) from None
    pa.set_cpu_count(1)
    try:
        file = pq.ParquetFile(pa.BufferReader(body), pre_buffer=False)
        names = [n for n in file.schema_arrow.names if n.replace("_", "-") in FIELDS]
        fields = tuple(n.replace("_", "-") for n in names)
        if not set(NEEDED) <= set(fields):
            msg = f"its columns are not a flow log's: {', '.join(file.schema_arrow.names[:8])}"
            raise ParquetError(msg)
        _bounded(file.metadata)
        for batch in file.iter_batches(batch_size=_BATCH, columns=names, use_threads=False):
            yield from ((fields, line) for line in _lines(batch, fields, interfaces, addresses))
    except (pa.ArrowException, OSError, ValueError) as broken:
        msg = f"its Parquet is broken or cut off: {broken}"
        raise ParquetError(msg) from None


def _bounded(metadata: object) -> None:
    count = int(getattr(metadata, "num_rows", 0))
    groups = int(getattr(metadata, "num_row_groups", 0))
    size = sum(metadata.row_group(g).total_byte_size for g in range(groups))  # type: ignore[attr-defined]
    if count > MOST_ROWS or size > MOST_PLAIN:
        msg = (
            f"it has {count} rows of {size} bytes, more than the {MOST_ROWS} of {MOST_PLAIN} that are read of one file"
        )
        raise ParquetError(msg)


def _lines(
    batch: pa.RecordBatch, fields: Sequence[str], interfaces: Sequence[str], addresses: Sequence[str]
) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if "interface-id" in fields:
        wanted = {"interface-id": interfaces}
    else:
        wanted = {n: addresses for n in ("srcaddr", "dstaddr", "pkt-srcaddr", "pkt-dstaddr") if n in fields}
    mask = None
    for name, values in wanted.items():
        column = batch.column(fields.index(name)).cast(pa.string())
        found = pc.is_in(column, value_set=pa.array(values, pa.string()))
        mask = found if mask is None else pc.or_(mask, found)
    chosen = batch if mask is None else batch.filter(mask)
    for row in zip(*(column.to_pylist() for column in chosen.columns), strict=True):
        yield " ".join(_word(value) for value in row)


def _word(value: object) -> str:
    """A value as the text format has it: one word, "-" for none."""
    return "-" if value is None else "".join(str(value).split()) or "-"
