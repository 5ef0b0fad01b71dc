"""The formats of ``make cloud-check``: every version of flow logs as text and Parquet, both kinds of trails, repeated and missing files, query logs.

Fields by version: Amazon VPC user guide, *Flow log records*. Keys of trails: AWS CloudTrail user guide, *Finding your CloudTrail log files*.
Digest files that were changed or are gone, buckets without access and under other keys need S3: tests/integration/test_cloud_trail.py.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from forensics.cloud_evidence.flow_filter import FUNCTION as FLOWS
from forensics.cloud_evidence.flow_filter import FlowSelectOrder
from forensics.cloud_evidence.line_collection import LineSpool, search_lines
from forensics.cloud_evidence.query_filter import FUNCTION as QUERIES
from forensics.cloud_evidence.query_filter import QuerySelectOrder
from forensics.cloud_evidence.trail_filter import SelectOrder
from forensics.cloud_evidence.trail_keys import log_name
from forensics.cloud_evidence.trail_selection import LogObject, search
from lab.evidence import query_records
from lab.evidence.flow_records import DEFAULT, Talk, log_file, parquet_of
from lab.evidence.trail_records import TrailFiles
from lab.scenarios.trail_stories import ACCOUNT, ALARM, INTERFACE, followed

Say = Callable[[str], None]
ADDRESS = "10.20.0.5"
BEGIN, END = ALARM - timedelta(days=40), ALARM + timedelta(days=1)
# The fields that each version adds.
VERSIONS: dict[int, str] = {
    3: "vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr",
    4: "region az-id sublocation-type sublocation-id",
    5: "pkt-src-aws-service pkt-dst-aws-service flow-direction traffic-path",
    7: "ecs-cluster-arn ecs-cluster-name ecs-container-instance-arn ecs-container-instance-id ecs-container-id "
    "ecs-second-container-id ecs-service-name ecs-task-definition-arn ecs-task-arn ecs-task-id",
    8: "reject-reason",
    9: "resource-id",
    10: "encryption-status",
}


def check_formats(say: Say) -> list[str]:
    """Every format; returns what was read wrongly."""
    wrong: list[str] = []
    for what, problem in [*_flow_formats(), *_trails(), *_queries()]:
        say(f"{'no ' if problem else 'yes'}  {what}{': ' + problem if problem else ''}")
        wrong += [f"{what}: {problem}"] if problem else []
    return wrong


def _flow_formats() -> Iterable[tuple[str, str]]:
    talks = [Talk(ALARM - timedelta(minutes=n), "198.51.100.7", 443) for n in range(5)]
    rows = [r for t in talks for r in t.rows(account=ACCOUNT.account_id, interface=INTERFACE, address=ADDRESS)]
    other = [
        {**r, "interface-id": "eni-0fedcba9876543210", "srcaddr": "10.20.9.9", "dstaddr": "10.20.9.8"} for r in rows
    ]
    fields = DEFAULT
    formats = {"version 2": fields}
    for version, more in VERSIONS.items():
        fields = f"{fields} {more}"
        formats[f"version {version}"] = fields
    formats["the fields of version 10 in reverse"] = " ".join(reversed(fields.split()))
    formats["without the interface"] = "srcaddr dstaddr srcport dstport protocol packets bytes start end action"
    for name, names in formats.items():
        text = log_file([*rows, *other], fields=names)
        for form, body, packed in (("text", gzip.compress(text), True), ("Parquet", parquet_of(text), False)):
            found, problem = _lines(
                FLOWS,
                FlowSelectOrder(interfaces=(INTERFACE,), addresses=(ADDRESS,), begin=BEGIN, end=END),
                body,
                packed,
            )
            yield (
                f"flow log, {name}, {form}",
                problem or ("" if found == len(rows) else f"{found} of {len(rows)} records"),
            )


def _queries() -> Iterable[tuple[str, str]]:
    asked = [query_records.Asked(ALARM - timedelta(minutes=n), f"n{n}.example", ("203.0.113.9",)) for n in range(7)]
    told: dict[str, Any] = {
        "account": ACCOUNT.account_id,
        "region": ACCOUNT.region,
        "vpc": "vpc-0123456789abcdef0",
        "address": ADDRESS,
    }
    order = QuerySelectOrder(
        account_id=ACCOUNT.account_id, instance_id=ACCOUNT.instance_id, addresses=(ADDRESS,), begin=BEGIN, end=END
    )
    for name, instance in (("with the instance", ACCOUNT.instance_id), ("without the instance", "")):
        lines = query_records.lines(asked, **told, instance=instance)
        lines += query_records.lines(asked, **{**told, "address": "10.20.9.9"}, instance="i-0fedcba9876543210")
        found, problem = _lines(QUERIES, order, gzip.compress(("\n".join(lines) + "\n").encode()), True)
        yield f"query log, {name}", problem or ("" if found == len(asked) else f"{found} of {len(asked)} records")


def _lines(function: str, order: Any, body: bytes, packed: bool) -> tuple[int, str]:
    spool = LineSpool()
    search_lines(function, order, [LogObject("file", body, gzip=packed)], spool)
    spool.close()
    return spool.records, spool.reports["file"].problem


def _trails() -> Iterable[tuple[str, str]]:
    calls = [
        ACCOUNT.call(ALARM - timedelta(hours=n), "s3:GetObject", ACCOUNT.instance(), {"bucketName": "b", "key": f"{n}"})
        for n in range(12)
    ]
    for name, files in (
        ("single trail", TrailFiles(ACCOUNT.account_id)),
        ("single trail below a prefix", TrailFiles(ACCOUNT.account_id, "logs")),
        ("organization's trail", TrailFiles(ACCOUNT.account_id, "", "o-exampleorgid")),
    ):
        files.write(calls)
        unknown = [key for key in files.files if log_name(key) is None]
        objects = [LogObject(k, b) for k, b in sorted(files.files.items())]
        yield f"{name}: names of files", f"{unknown[0]} is not known" if unknown else ""
        yield f"{name}: records", _found(objects, len(calls))
        yield (
            f"{name}: every file delivered twice",
            _found([*objects, *(LogObject(f"again/{o.name}", o.body) for o in objects)], len(calls)),
        )
        yield f"{name}: every other hour missing", _found(objects[::2], len(objects[::2]))


def _found(objects: list[LogObject], wanted: int) -> str:
    order = SelectOrder(account_id=ACCOUNT.account_id, begin=BEGIN, end=END, followed=followed())
    spool = search(order, lambda _order: objects)
    spool.close()
    problem = next((r.problem for r in spool.reports.values() if r.problem), "")
    return problem or ("" if spool.records == wanted else f"{spool.records} of {wanted} records")
