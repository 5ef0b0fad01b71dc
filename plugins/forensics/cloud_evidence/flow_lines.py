"""Lines of VPC flow logs in every version of their format, read by the header that each file begins with. Pure.

Source: Amazon VPC user guide, *Flow log records* (fields of versions 2 to 10, "-" for a field that does not apply) and *Flow log files*
(names of files in S3, with and without Hive-compatible folders)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

FIELDS = frozenset(
    {
        "version", "account-id", "interface-id", "srcaddr", "dstaddr", "srcport", "dstport", "protocol", "packets", "bytes", "start", "end",
        "action", "log-status", "vpc-id", "subnet-id", "instance-id", "tcp-flags", "type", "pkt-srcaddr", "pkt-dstaddr", "region", "az-id",
        "sublocation-type", "sublocation-id", "pkt-src-aws-service", "pkt-dst-aws-service", "flow-direction", "traffic-path",
        "ecs-cluster-arn", "ecs-cluster-name", "ecs-container-instance-arn", "ecs-container-instance-id", "ecs-container-id",
        "ecs-second-container-id", "ecs-service-name", "ecs-task-definition-arn", "ecs-task-arn", "ecs-task-id", "reject-reason",
        "resource-id", "encryption-status",
    }
)  # fmt: skip
# Without these a line says nothing of who talked to whom.
NEEDED = ("srcaddr", "dstaddr", "start", "end")
_FILE = re.compile(
    r"(?:^|/)(?P<account>\d{12})_vpcflowlogs_(?P<region>[a-z0-9-]+)_(?P<log>fl-[0-9a-f]+)_(?P<time>\d{8}T\d{4})Z_[0-9a-z]+\.log\.(?P<form>gz|parquet)$"
)
PROTOCOLS = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6"}


@dataclass(frozen=True)
class FlowFileName:
    """What the key of a flow log file says; ``text`` is false for Parquet."""

    account_id: str
    region: str
    log_id: str
    time: datetime
    text: bool


def file_name(key: str) -> FlowFileName | None:
    """The key of a flow log file, read; None for any other."""
    found = _FILE.search(key)
    if found is None:
        return None
    try:
        time = datetime.strptime(found["time"], "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None
    return FlowFileName(found["account"], found["region"], found["log"], time, found["form"] == "gz")


def day_prefixes(
    prefix: str, account_id: str, region: str, *, hive: bool, begin: datetime, end: datetime
) -> Iterator[str]:
    """Prefixes of the days of a window below a flow log's destination."""
    root = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    day = begin.astimezone(UTC).date()
    while day <= end.astimezone(UTC).date():
        if hive:
            where = f"aws-account-id={account_id}/aws-service=vpcflowlogs/aws-region={region}/year={day:%Y}/month={day:%m}/day={day:%d}/"
        else:
            where = f"{account_id}/vpcflowlogs/{region}/{day:%Y/%m/%d}/"
        yield f"{root}AWSLogs/{where}"
        day += timedelta(days=1)


def header(line: str) -> tuple[str, ...] | None:
    """The fields of a header line; None for any other line."""
    names = tuple(line.replace("_", "-").split())
    return names if len(names) >= len(NEEDED) and set(names) <= FIELDS and set(NEEDED) <= set(names) else None


@dataclass(frozen=True)
class Flow:
    """One record: times in UTC, counts of packets and bytes; what the record does not say is 0 or empty.

    ``flags``: TCP's, all that were seen, 0 where the format has them not. ``source_service`` and ``target_service``: whose addresses they are, of AWS's services."""

    source: str
    target: str
    source_port: int
    target_port: int
    protocol: int
    packets: int
    size: int
    begin: datetime
    end: datetime
    accepted: bool
    interface: str = ""
    direction: str = ""
    flags: int = 0
    source_service: str = ""
    target_service: str = ""


def flow(fields: Sequence[str], line: str) -> Flow | None:
    """A record by its header; None for one without data (NODATA, SKIPDATA) and for what is none."""
    values = line.split()
    if len(values) != len(fields):
        return None
    row = dict(zip(fields, values, strict=True))
    # behind a NAT gateway or in a pod the packet's own addresses are those that count
    source = _address(row.get("pkt-srcaddr", "-")) or _address(row["srcaddr"])
    target = _address(row.get("pkt-dstaddr", "-")) or _address(row["dstaddr"])
    begin, end = _number(row["start"]), _number(row["end"])
    if not source or not target or not begin:
        return None
    try:
        times = datetime.fromtimestamp(begin, UTC), datetime.fromtimestamp(end or begin, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return Flow(
        source, target, _number(row.get("srcport")), _number(row.get("dstport")), _number(row.get("protocol")),
        _number(row.get("packets")), _number(row.get("bytes")), *times, accepted=row.get("action") == "ACCEPT",
        interface=row.get("interface-id", ""), direction=row.get("flow-direction", ""),
        flags=_number(row.get("tcp-flags")), source_service=_service(row.get("pkt-src-aws-service")), target_service=_service(row.get("pkt-dst-aws-service")),
    )  # fmt: skip


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return ""


def _service(text: str | None) -> str:
    """The service of AWS whose address it is; EC2's are other customers' machines."""
    return "" if text in {None, "-", "EC2", "EC2_INSTANCE_CONNECT"} else text or ""


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 20 else 0
