"""The scale of ``make cloud-check``: a busy account's trail and a busy network's flows, among which one instance's records are.

A hundred and twenty-eight MiB of records are made, packed as AWS packs them, and read again under other names until the wanted size is
reached: so the time is the reader's, not the generator's. The target's records stand in files of their own, as many as a case has.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forensics.cloud_evidence.flow_filter import FUNCTION as FLOWS
from forensics.cloud_evidence.flow_filter import FlowSelectOrder
from forensics.cloud_evidence.line_collection import LineSpool, search_lines
from forensics.cloud_evidence.trail_filter import SelectOrder
from forensics.cloud_evidence.trail_selection import LogObject, search
from lab.evidence.flow_records import DEFAULT
from lab.evidence.trail_records import Json, log_file, made_id
from lab.scenarios.trail_stories import ACCOUNT, ALARM, INTERFACE, followed

MIB = 1024 * 1024
# The figures for the whole: they are asked for with CLOUD_SCALE=1.
WHOLE_TRAIL, WHOLE_FLOWS, MOST_SECONDS, MOST_RESIDENT = 10 * 1024 * MIB, 50_000_000, 600.0, 1024 * MIB
_FILES, _PLAIN = 32, 4 * MIB
_ROWS_A_FILE = 100_000


@dataclass(frozen=True)
class Measured:
    """What a reading cost: seconds of the wall, MiB of the parent and its child together at most, what was found."""

    what: str
    seconds: float
    resident: int
    found: int
    wanted: int

    def wrong(self, share: float) -> list[str]:
        """What does not hold, for a share of the whole."""
        faults = []
        if self.found != self.wanted:
            faults.append(f"{self.what}: {self.found} of {self.wanted} records were found")
        if self.seconds > MOST_SECONDS * max(share, 0.02):
            faults.append(f"{self.what}: {self.seconds:.0f} s, {MOST_SECONDS * max(share, 0.02):.0f} were allowed")
        if self.resident > MOST_RESIDENT:
            faults.append(f"{self.what}: {self.resident / MIB:.0f} MiB resident, 1,024 were allowed")
        return faults


def check_scale(say: Callable[[str], None], share: float) -> list[str]:
    """Read a share of the whole; returns what does not hold."""
    wrong = []
    for measured in (measure_trail(int(WHOLE_TRAIL * share)), measure_flows(int(WHOLE_FLOWS * share))):
        faults = measured.wrong(share)
        wrong += faults
        say(
            f"{'no ' if faults else 'yes'}  {measured.what}: {measured.seconds:.1f} s, {measured.resident / MIB:.0f} MiB resident, "
            f"{measured.found} of {measured.wanted} records found"
        )
    return wrong


def measure_trail(size: int) -> Measured:
    """Search CloudTrail's log files of so many plain bytes."""
    noise = list(_trail_noise())
    target = [
        ACCOUNT.call(
            ALARM - timedelta(minutes=n), "s3:GetObject", ACCOUNT.instance(), {"bucketName": "b", "key": f"{n}"}
        )
        for n in range(200)
    ]
    begin, end = ALARM - timedelta(days=40), ALARM + timedelta(days=1)

    def objects(_order: object) -> Iterable[LogObject]:
        yield LogObject("target.json.gz", gzip.compress(log_file(target)))
        for number in range(max(1, size // _PLAIN)):
            yield LogObject(f"{number}.json.gz", noise[number % len(noise)])

    with _Watched() as watched:
        spool = search(SelectOrder(account_id=ACCOUNT.account_id, begin=begin, end=end, followed=followed()), objects)
    what = f"CloudTrail, {size / MIB:,.0f} MiB of records in {len(spool.reports):,} files"
    broken = sum(1 for r in spool.reports.values() if r.problem)
    return Measured(what, watched.seconds, watched.resident, spool.records - broken, len(target))


def measure_flows(rows: int) -> Measured:
    """Search flow log files of so many records."""
    noise = [gzip.compress(body, 6) for body in _flow_noise()]
    mine = [
        f"2 {ACCOUNT.account_id} {INTERFACE} 10.20.0.5 198.51.100.{n % 250} 40000 443 6 10 840 {int(ALARM.timestamp()) - n} {int(ALARM.timestamp()) - n + 40} ACCEPT OK"
        for n in range(500)
    ]
    order = FlowSelectOrder(
        interfaces=(INTERFACE,),
        addresses=("10.20.0.5",),
        begin=ALARM - timedelta(days=40),
        end=ALARM + timedelta(days=1),
    )

    def objects() -> Iterable[LogObject]:
        yield LogObject("target.log.gz", gzip.compress("\n".join([DEFAULT, *mine, ""]).encode()))
        for number in range(max(1, rows // _ROWS_A_FILE)):
            yield LogObject(f"{number}.log.gz", noise[number % len(noise)])

    spool = LineSpool()
    with _Watched() as watched:
        search_lines(FLOWS, order, objects(), spool)
    what = f"VPC flow logs, {rows:,} records in {len(spool.reports):,} files"
    broken = sum(1 for r in spool.reports.values() if r.problem)
    found = spool.records - broken
    spool.close()
    return Measured(what, watched.seconds, watched.resident, found, len(mine))


def _trail_noise() -> Iterator[bytes]:
    """Log files of other principals: calls as they are, a record of about 1.5 KiB."""
    draw = random.Random(11)  # noqa: S311 - noise
    calls = (
        "ec2:DescribeInstances",
        "s3:GetObject",
        "kms:Decrypt",
        "sts:AssumeRole",
        "logs:PutLogEvents",
        "ssm:UpdateInstanceInformation",
    )
    for _ in range(_FILES):
        records: list[Json] = []
        size = 0
        while size < _PLAIN:
            other = f"i-{draw.getrandbits(68):017x}"
            who = {
                "userIdentity": ACCOUNT.assumed(f"role-{draw.randint(1, 300)}", other),
                "sourceIPAddress": f"10.{draw.randint(30, 99)}.{draw.randint(0, 255)}.{draw.randint(1, 254)}",
            }
            at = ALARM - timedelta(seconds=draw.randint(0, 86_400))
            record = ACCOUNT.call(
                at, draw.choice(calls), who, {"name": made_id(draw.random())}, {"requestId": made_id(draw.random())}
            )
            size += len(json.dumps(record))
            records.append(record)
        yield gzip.compress(log_file(records), 6)


def _flow_noise() -> Iterator[bytes]:
    """Flow log files of a network's other interfaces in the default format."""
    draw = random.Random(12)  # noqa: S311 - noise
    start = int(datetime(2026, 11, 28, 12, tzinfo=UTC).timestamp())
    interfaces = [f"eni-{draw.getrandbits(68):017x}" for _ in range(400)]
    for _ in range(8):
        lines = [DEFAULT]
        for _ in range(_ROWS_A_FILE):
            b = draw.randint(40, 90_000)
            lines.append(
                f"2 {ACCOUNT.account_id} {draw.choice(interfaces)} 10.{draw.randint(30, 99)}.{draw.randint(0, 255)}.{draw.randint(1, 254)} "
                f"10.20.{draw.randint(1, 9)}.{draw.randint(10, 250)} {draw.randint(1024, 65535)} {draw.choice((443, 80, 5432, 53))} 6 {b // 900 + 1} {b} "
                f"{start + draw.randint(0, 600)} {start + 660} ACCEPT OK"
            )
        yield "\n".join([*lines, ""]).encode()


class _Watched:
    """Seconds, and the resident memory of this process and its children (proc(5), VmRSS) at most, ten times a second."""

    def __enter__(self) -> _Watched:
        import threading

        self._done, self.resident, self._began = threading.Event(), 0, time.monotonic()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.1):
            me = os.getpid()
            pids = [me, *(int(p) for p in Path(f"/proc/{me}/task/{me}/children").read_text("ascii").split())]
            self.resident = max(self.resident, sum(_resident(pid) for pid in pids))


def _resident(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    except OSError:
        return 0  # it has ended since
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 if "VmRSS:" in status else 0
