"""How long the stored timeline of a case takes to write and to search: ``make timeline-bench`` (ENTRIES=5000000, LIMIT_MS=300).

Makes lines as plaso's JSON output has them (file times, log-ins, web requests, systemd), stores them as a case does (confined child, ordered
Parquet), copies them as a web server does, and asks every kind of question. Prints wall times and processor time of all threads; on a machine
with other work the processor time, halved for two cores, is the fairer figure. Ends with 1 when a median is above the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path

from forensics.confined import MIB, Confined, Limits
from forensics.models.timeline import TimelinePart, TimelineSource, TimelineStore
from forensics.timeline.cache import make_copy
from forensics.timeline.columnar import found, opened, write_ordered
from forensics.timeline.record_rows import FUNCTION, RecordForm, RowOrder, RowsMade
from forensics.timeline.search import TimelineSearch, conditions

START = datetime(2026, 5, 1, tzinfo=UTC)
PAGE = 201
QUESTIONS = {
    "first page": TimelineSearch(),
    "page in the middle": TimelineSearch(after="2026-08-01T00:00:00.000000Z~0000000000000000"),
    "span of time": TimelineSearch(since=datetime(2026, 9, 1, tzinfo=UTC), until=datetime(2026, 9, 2, tzinfo=UTC)),
    "frequent word": TimelineSearch(text="Accepted publickey"),
    "one file": TimelineSearch(text="file_2500000.py"),
    "a digest that is in no entry": TimelineSearch(text="d41d8cd98f00b204e9800998ecf8427f"),
    "words that are in no entry": TimelineSearch(text="nonexistent thing"),
    "user": TimelineSearch(user="user7"),
    "user that is in no entry": TimelineSearch(user="mallory"),
    "address": TimelineSearch(address="203.0.113.78"),
    "address that is in no entry": TimelineSearch(address="198.51.100.23"),
    "evidence and source": TimelineSearch(evidence_id="disk-vol-0abc", source="plaso"),
    "technique": TimelineSearch(technique="T1110"),
    "host": TimelineSearch(host="web-1"),
}


def lines(entries: int) -> Iterator[bytes]:
    """Lines in plaso's words, by time as psort writes them."""
    batch: list[str] = []
    step = timedelta(days=200) / max(1, entries)
    for n in range(entries):
        digest, user = md5(str(n // 3).encode(), usedforsecurity=False).hexdigest(), f"user{n % 50}"
        moment = (START + step * n).isoformat(timespec="microseconds")
        extra: dict[str, object] = {"data_type": "syslog:line", "timestamp_desc": "Content Modification Time"}
        match n % 4:
            case 0:
                source = f"/usr/lib/python3/dist-packages/mod_{digest[:8]}/file_{n}.py"
                message = f"{source} Type: file, inode {n * 31 % 9_999_999}, mode 0644"
                extra = {
                    "data_type": "fs:stat",
                    "timestamp_desc": "Metadata Modification Time",
                    "sha256_hash": digest * 2,
                }
            case 1:
                source, address = "/var/log/auth.log", f"10.{n % 255}.{n // 255 % 255}.{n % 7}"
                message = f"[sshd, pid: {n % 32768}] Accepted publickey for {user} from {address} port {40_000 + n % 20_000} ssh2: RSA {digest}"
                extra |= {"username": user, "hostname": "web-1"}
            case 2:
                source, address = "/var/log/nginx/access.log", f"203.0.113.{n % 250}"
                message = f"GET /static/{digest[:12]}/app.js?v={n} HTTP/1.1 from: {address} code: 200 user_agent: Mozilla/5.0 (X11; Linux x86_64)"
                extra |= {"data_type": "apache:access_log:entry", "ip_address": address}
            case _:
                source = "/var/log/journal/system.journal"
                message = f"systemd[1]: Started Session {n} of User {user}. unit session-{n}.scope, invocation {digest}"
                extra |= {"data_type": "systemd:journal", "username": user}
        batch.append(json.dumps({"message": message, "datetime": moment, "source": source, **extra}))
        if len(batch) == 5_000:
            yield ("\n".join(batch) + "\n").encode()
            batch = []
    yield ("\n".join(batch) + "\n").encode()


def stored(folder: Path, entries: int) -> TimelineStore:
    """The Parquet file of a case, written as the step writes it."""
    rows, parquet = folder / "rows.jsonl", folder / "part.parquet"
    order = RowOrder(form=RecordForm.TIMESKETCH, evidence_id="disk-vol-0abc", host="i-0123456789abcdef0", most=entries)
    begun = time.monotonic()
    limits = Limits(memory=512 * MIB, cpu_seconds=7200, output=64 * 1024 * MIB)
    with Confined(FUNCTION, order, limits=limits) as child, rows.open("wb") as file:
        for piece in child.passing(lines(entries)):
            file.write(piece)
        made = child.result(RowsMade)
    converted = time.monotonic()
    count = write_ordered(rows, parquet)
    print(
        f"{made.rows:,} lines made and converted in {converted - begun:.0f} s (child: {child.peak_bytes / MIB:.0f} MiB at most), "
        f"{count:,} entries ordered and written in {time.monotonic() - converted:.0f} s: "
        f"{parquet.stat().st_size / MIB:.0f} MiB of Parquet from {rows.stat().st_size / MIB:.0f} MiB"
    )
    rows.unlink()
    part = TimelinePart(
        source=TimelineSource.PLASO, evidence_id="disk-vol-0abc", uri=parquet.as_uri(), sha256=_sha256(parquet),
        bytes=parquet.stat().st_size, rows=count,
    )  # fmt: skip
    return TimelineStore(version="20261124T031200000000Z", written_at=START, parts=(part,))


def prepared(folder: Path, entries: int) -> Path:
    """The copy that a web server makes for searches."""
    copy = folder / "copy" / "copy.parquet"
    if not copy.exists():
        copy.parent.mkdir(parents=True)
        store, begun = stored(folder, entries), time.monotonic()
        make_copy(store, _read, copy)
        print(f"copy for searches made in {time.monotonic() - begun:.1f} s: {copy.stat().st_size / MIB:.0f} MiB")
    return copy


def _sha256(file: Path) -> str:
    from hashlib import file_digest

    with file.open("rb") as opened_file:
        return file_digest(opened_file, "sha256").hexdigest()


def _read(uri: str) -> Iterator[bytes]:
    with Path(uri.removeprefix("file://")).open("rb") as file:
        while piece := file.read(MIB):
            yield piece


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """The bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=5_000_000)
    parser.add_argument("--limit-ms", type=float, default=300.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="keep the copy here, and use the one that is here")
    told = parser.parse_args()
    slow = []
    with tempfile.TemporaryDirectory(prefix="timeline-bench-") as name:
        copy = prepared(told.folder or Path(name), told.entries)
        print(
            f"{'question':32} {'entries':>7} {'median':>9} {'slowest':>9} {'processor/2':>12}   load {os.getloadavg()[0]:.1f}"
        )
        with opened(copy.parent) as database:
            for words, asked in QUESTIONS.items():
                walls, used, hits = [], [], 0
                for _ in range(told.rounds):
                    wall, cpu = time.monotonic(), _processor()
                    hits = len(found(database, copy, conditions(asked), limit=PAGE, seconds=60))
                    walls.append((time.monotonic() - wall) * 1000)
                    used.append((_processor() - cpu) * 500)
                median, halved = statistics.median(walls), statistics.median(used)
                if min(median, max(halved, 1)) > told.limit_ms:
                    slow.append(words)
                print(f"{words:32} {hits:7} {median:6.0f} ms {max(walls):6.0f} ms {halved:9.0f} ms")
        print(
            f"resident at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB; load now {os.getloadavg()[0]:.1f}"
        )
    if slow:
        print(f"above {told.limit_ms:.0f} ms: {', '.join(slow)}", file=sys.stderr)
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
