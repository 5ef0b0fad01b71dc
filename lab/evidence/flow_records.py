"""VPC flow log files as AWS writes them, of conversations that a story tells.

Shapes: Amazon VPC user guide, *Flow log records* (the default format, version 2) and *Flow log files*. Names and addresses are invented.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lab.evidence.trail_records import made_id

DEFAULT = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)


@dataclass(frozen=True)
class Talk:
    """One conversation of an interface: ``remote`` and ``port`` as the target sees them; ``out`` and ``back`` are bytes."""

    at: datetime
    remote: str
    port: int
    out: int = 1200
    back: int = 3400
    seconds: int = 40
    asked: bool = True
    accepted: bool = True
    protocol: int = 6
    local_port: int = 40000

    def rows(self, *, account: str, interface: str, address: str) -> list[dict[str, object]]:
        """Its records, one for each direction, by the names of their fields."""
        mine, theirs = (self.local_port, self.port) if self.asked else (self.port, 50123)
        start = int(self.at.timestamp())
        shared = {
            "version": 2, "account-id": account, "interface-id": interface, "protocol": self.protocol, "start": start, "end": start + self.seconds,
            "action": "ACCEPT" if self.accepted else "REJECT", "log-status": "OK", "vpc-id": "vpc-1", "flow-direction": "-",
        }  # fmt: skip
        sent = {
            "srcaddr": address,
            "dstaddr": self.remote,
            "srcport": mine,
            "dstport": theirs,
            "packets": max(1, self.out // 900),
            "bytes": self.out,
        }
        got = {
            "srcaddr": self.remote,
            "dstaddr": address,
            "srcport": theirs,
            "dstport": mine,
            "packets": max(1, self.back // 900),
            "bytes": self.back,
        }
        first, second = (sent, got) if self.asked else (got, sent)
        # as the user guide's example of a short connection has them: SYN and FIN, and SYN with ACK and FIN of who was asked
        if not self.accepted:
            return [{**shared, **first, "tcp-flags": 2}]
        flags = (3, 19) if self.protocol == 6 else (0, 0)
        return [{**shared, **first, "tcp-flags": flags[0]}, {**shared, **second, "tcp-flags": flags[1]}]


def log_file(rows: Iterable[dict[str, object]], *, fields: str = DEFAULT) -> bytes:
    """The plain text of a file; a field that a row does not have is "-"."""
    names = fields.split()
    lines = [" ".join(str(row.get(name, "-")) for name in names) for row in rows]
    return ("\n".join([fields, *lines]) + "\n").encode()


# Types of columns in Parquet that are no text (Amazon VPC user guide, *Flow log records*, "Parquet data type").
_INT32 = frozenset({"version", "srcport", "dstport", "protocol", "tcp-flags", "traffic-path"})
_INT64 = frozenset({"packets", "bytes", "start", "end"})


def parquet_of(text: bytes) -> bytes:
    """The same rows as a file in text, in Parquet: columns with ``_`` for ``-``, "-" as null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    head, *lines = text.decode().splitlines()
    names, rows = head.split(), [line.split() for line in lines]
    columns = {}
    for place, name in enumerate(names):
        values = [None if row[place] == "-" else row[place] for row in rows]
        kind = pa.int32() if name in _INT32 else pa.int64() if name in _INT64 else pa.string()
        columns[name.replace("-", "_")] = pa.array(values, pa.string()).cast(kind)
    out = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), out, compression="gzip")
    return bytes(out.getvalue().to_pybytes())


def log_key(account: str, region: str, log_id: str, at: datetime, *, prefix: str = "", hive: bool = False) -> str:
    """The key of a file that ends at ``at``."""
    at = at.astimezone(UTC)
    root = f"{prefix.strip('/')}/" if prefix else ""
    if hive:
        where = f"aws-account-id={account}/aws-service=vpcflowlogs/aws-region={region}/year={at:%Y}/month={at:%m}/day={at:%d}"
    else:
        where = f"{account}/vpcflowlogs/{region}/{at:%Y/%m/%d}"
    mark = made_id(log_id, at)[:8]
    return f"{root}AWSLogs/{where}/{account}_vpcflowlogs_{region}_{log_id}_{at:%Y%m%dT%H%MZ}_{mark}.log.gz"


def files(
    talks: Sequence[Talk], *, account: str, region: str, interface: str, address: str, log_id: str, prefix: str = "",
    fields: str = DEFAULT, hive: bool = False,
) -> dict[str, bytes]:  # fmt: skip
    """Conversations in the files of their ten minutes, gzip, by key."""
    slots: dict[datetime, list[dict[str, object]]] = {}
    for talk in talks:
        slot = talk.at.replace(minute=talk.at.minute // 10 * 10, second=0, microsecond=0) + timedelta(minutes=10)
        slots.setdefault(slot, []).extend(talk.rows(account=account, interface=interface, address=address))
    return {
        log_key(account, region, log_id, slot, prefix=prefix, hive=hive): gzip.compress(
            log_file(rows, fields=fields), mtime=0
        )
        for slot, rows in slots.items()
    }
