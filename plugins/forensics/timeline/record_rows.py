"""Stored records of tools and logs become entries of the timeline, in a process of its own (``forensics.confined``). Pure.

Comes in: ``timeline.jsonl`` of the toolkit or plaso, or the stored records of CloudTrail, VPC flow logs and Resolver query logs. Goes out: one JSON object a line
with the columns of :mod:`.columns`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import Field, ValidationError

from forensics.cloud_evidence.flow_lines import PROTOCOLS, flow, header
from forensics.cloud_evidence.log_reading import lines_of
from forensics.cloud_evidence.query_lines import query
from forensics.cloud_evidence.trail_record import TrailRecord
from forensics.confined import Channel
from forensics.models.outside import Outside
from forensics.timeline.columns import row

FUNCTION = "forensics.timeline.record_rows:convert"
API_ACTIVITY, NETWORK_ACTIVITY, DNS_ACTIVITY = 6003, 4001, 4003
_BATCH = 1 << 20
_LONGEST_LINE = 1 << 20
_USERS = ("username", "user", "user_name", "user_identifier", "account")
_ADDRESSES = ("ip_address", "address", "client", "remote_address", "source_address")
_HOSTS = ("hostname", "computer_name", "host")
Row = dict[str, object]


class RecordForm(StrEnum):
    """How the records are written."""

    TIMESKETCH = "timesketch"
    CLOUD_TRAIL = "cloud-trail"
    FLOW_LOGS = "flow-logs"
    QUERY_LOGS = "query-logs"


class RowOrder(Outside):
    """What the child is told; ``most`` entries are made at most."""

    form: RecordForm
    evidence_id: str = Field(max_length=200)
    host: str = Field(default="", max_length=200)
    account_id: str = Field(default="", max_length=12)
    region: str = Field(default="", max_length=40)
    most: int = Field(ge=0)


class RowsMade(Outside):
    """How many entries were made, how many lines are none, and whether lines were left out behind ``most``."""

    rows: int = 0
    unread: int = 0
    cut: bool = False


def convert(order: bytes, channel: Channel) -> RowsMade:
    """The child's work."""
    told = RowOrder.model_validate_json(order)
    lines = _lines(channel.chunks()) if told.form is RecordForm.TIMESKETCH else lines_of(channel.chunks())
    read = _READERS[told.form](told)
    rows, unread, batch, waiting = 0, 0, list[str](), 0
    for line in lines:
        if rows == told.most:
            channel.send("".join(batch).encode())
            channel.passed()
            return RowsMade(rows=rows, unread=unread, cut=True)
        made = read(line)
        if made is None:
            unread += 1
            continue
        rows += 1
        batch.append(json.dumps(made) + "\n")
        waiting += len(batch[-1])
        if waiting > _BATCH:
            channel.send("".join(batch).encode())
            batch, waiting = [], 0
    if batch:
        channel.send("".join(batch).encode())
    channel.passed()
    return RowsMade(rows=rows, unread=unread)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of plain text; what is longer than a line may be is one line that cannot be read."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line)
        if len(rest) > _LONGEST_LINE:
            rest = rest[:1]
    if rest:
        yield rest


Reader = Callable[[bytes], Row | None]


def _timesketch(told: RowOrder) -> Reader:
    def read(line: bytes) -> Row | None:
        try:
            found = json.loads(line)
            time = datetime.fromisoformat(found["datetime"])
            message = found["message"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if not isinstance(message, str) or not 1 <= time.year < 9999:
            return None
        technique = _first(found, ("technique",))
        return row(
            time=time if time.tzinfo else time.replace(tzinfo=UTC), message=message, origin=_first(found, ("source",)),
            timestamp_desc=_first(found, ("timestamp_desc",)), data_type=_first(found, ("data_type", "program")),
            technique=technique if technique.startswith("T") else "", host=_first(found, _HOSTS) or told.host,
            user_name=_first(found, _USERS), addresses=[str(found.get(n) or "") for n in _ADDRESSES if isinstance(found.get(n), str)],
            evidence_id=told.evidence_id, account_id=told.account_id, region=told.region,
        )  # fmt: skip

    return read


def _first(found: dict[str, object], names: tuple[str, ...]) -> str:
    return next((value for name in names if isinstance(value := found.get(name), str) and value), "")


def _cloud_trail(told: RowOrder) -> Reader:
    def read(line: bytes) -> Row | None:
        try:
            call = TrailRecord.model_validate_json(line)
        except ValidationError:
            return None
        failed = f", refused with {call.error}" if call.error else ""
        return row(
            time=call.time, message=f"{call.call} by {call.identity.name} from {call.address or 'an unknown address'}{failed} (event {call.event_id})",
            origin=call.service, timestamp_desc="API call", data_type="aws:cloudtrail:entry", class_uid=API_ACTIVITY, host=told.host,
            user_name=call.identity.name, addresses=[call.address] if call.address[:1].isdigit() or ":" in call.address else [],
            evidence_id=told.evidence_id, account_id=call.recipient or told.account_id, region=call.region or told.region,
        )  # fmt: skip

    return read


def _flow_logs(told: RowOrder) -> Reader:
    fields: tuple[str, ...] | None = None

    def read(line: bytes) -> Row | None:
        nonlocal fields
        text = line.decode("ascii", "replace")
        fields = header(text) or fields
        seen = flow(fields, text) if fields else None
        if seen is None:
            return None
        word = "accepted" if seen.accepted else "rejected"
        protocol = PROTOCOLS.get(seen.protocol, f"protocol {seen.protocol}")
        return row(
            time=seen.begin, message=(
                f"{protocol} {seen.source}:{seen.source_port} to {seen.target}:{seen.target_port}, {seen.size} bytes in {seen.packets} packets, {word}"
            ),
            origin=seen.interface or "VPC flow logs", timestamp_desc="Start of the flow", data_type="aws:vpcflowlogs:flow",
            class_uid=NETWORK_ACTIVITY, host=told.host, addresses=[seen.source, seen.target], evidence_id=told.evidence_id,
            account_id=told.account_id, region=told.region,
        )  # fmt: skip

    return read


def _query_logs(told: RowOrder) -> Reader:
    def read(line: bytes) -> Row | None:
        asked = query(line)
        if asked is None:
            return None
        answers = f", answered {', '.join(asked.answers)}" if asked.answers else ""
        return row(
            time=asked.time, message=f"asked for {asked.name} ({asked.kind}): {asked.rcode}{answers}", origin="Route 53 Resolver",
            timestamp_desc="DNS query", data_type="aws:route53resolver:query", class_uid=DNS_ACTIVITY, host=asked.instance or told.host,
            addresses=[asked.source], evidence_id=told.evidence_id, account_id=asked.account or told.account_id, region=told.region,
        )  # fmt: skip

    return read


_READERS = {
    RecordForm.TIMESKETCH: _timesketch,
    RecordForm.CLOUD_TRAIL: _cloud_trail,
    RecordForm.FLOW_LOGS: _flow_logs,
    RecordForm.QUERY_LOGS: _query_logs,
}
