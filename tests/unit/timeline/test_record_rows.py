"""Stored records become entries: lines of tools, calls of CloudTrail, flows; what is none is counted."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

from forensics.confined import MIB, Confined, Limits
from forensics.timeline.record_rows import FUNCTION, RecordForm, RowOrder, RowsMade, convert

# As plaso's psort writes them in Timesketch's form (ami/toolkit, plaso_program), and what an intruder may have put between.
PLASO = [
    {"message": "[sshd] Accepted password for root from 203.0.113.7", "datetime": "2026-11-21T02:01:50.750000+00:00",
     "timestamp_desc": "Content Modification Time", "source": "/var/log/auth.log", "data_type": "syslog:line", "username": "root", "hostname": "web-1"},
    {"message": "=cmd|' /C calc'!A0 <script>alert(1)</script>\u202e", "datetime": "2026-11-21T02:02:00.000000+00:00", "timestamp_desc": "x", "source": "s"},
]  # fmt: skip
# A record as CloudTrail's user guide shows them.
CALL = {
    "eventVersion": "1.11", "eventTime": "2026-11-24T02:50:00Z", "eventSource": "ec2.amazonaws.com", "eventName": "DescribeInstances",
    "awsRegion": "eu-central-1", "sourceIPAddress": "198.51.100.4", "userAgent": "aws-cli", "eventID": "11111111-2222-3333-4444-555555555555",
    "recipientAccountId": "333344445555",
    "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::333344445555:assumed-role/web/i-0123456789abcdef0"},
}  # fmt: skip
FLOW = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status\n"
    "2 333344445555 eni-0a1b 10.0.0.5 203.0.113.7 44321 443 6 12 8400 1795488000 1795488060 ACCEPT OK\n"
    "2 333344445555 eni-0a1b - - - - - - - 1795488060 1795488120 - NODATA\n"
)


class Pipe:
    """The child's side, in memory."""

    def __init__(self, *chunks: bytes) -> None:
        self.given, self.sent, self.ended = chunks, b"", False

    def chunks(self) -> Iterator[bytes]:
        yield from self.given

    def send(self, data: bytes) -> None:
        self.sent += data

    def passed(self) -> None:
        self.ended = True

    def ask(self, question: dict[str, object]) -> bytes:
        raise AssertionError(question)


def made(form: RecordForm, *chunks: bytes, most: int = 100) -> tuple[list[dict[str, object]], RowsMade]:
    order = RowOrder(
        form=form, evidence_id="e-1", host="i-1", account_id="333344445555", region="eu-central-1", most=most
    )
    pipe = Pipe(*chunks)
    said = convert(order.model_dump_json().encode(), pipe)
    assert pipe.ended
    return [json.loads(line) for line in pipe.sent.splitlines()], said


def jsonl(*lines: object) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def test_lines_of_tools_become_entries_with_user_host_and_addresses() -> None:
    body = jsonl(*PLASO)
    rows, said = made(RecordForm.TIMESKETCH, body[:70], body[70:])
    assert said == RowsMade(rows=2)
    first, second = rows
    assert (first["time"], first["user_name"], first["host"]) == ("2026-11-21 02:01:50.750000", "root", "web-1")
    assert (first["addresses"], first["data_type"], first["origin"]) == (
        ["203.0.113.7"],
        "syslog:line",
        "/var/log/auth.log",
    )
    assert second["message"] == "=cmd|' /C calc'!A0 <script>alert(1)</script>[U+202E]", "text stays text"
    assert second["host"] == "i-1"


def test_what_is_no_entry_is_counted_and_ends_nothing() -> None:
    bad = (
        b'{"message": 1, "datetime": "2026-11-21T02:01:50+00:00"}\nnot json\n{"message": "x"}\n[1]\n'
        + b"[" * 100_000
        + b"\n"
    )
    rows, said = made(RecordForm.TIMESKETCH, bad, b"z" * (3 << 20), jsonl(PLASO[0]))
    assert said.unread == 6 and rows == [], "the last good line stands behind a line without an end"
    rows, said = made(RecordForm.TIMESKETCH, bad, jsonl(PLASO[0]))
    assert (len(rows), said.unread) == (1, 5)


def test_calls_of_cloudtrail_name_principal_and_address() -> None:
    (only,), said = made(RecordForm.CLOUD_TRAIL, gzip.compress(jsonl(CALL, {"eventTime": "no"})))
    assert said == RowsMade(rows=1, unread=1)
    assert only["class_uid"] == 6003 and only["addresses"] == ["198.51.100.4"]
    assert only["user_name"] == "arn:aws:sts::333344445555:assumed-role/web/i-0123456789abcdef0"
    assert "ec2:DescribeInstances" in str(only["message"]) and "11111111-2222" in str(only["message"])


def test_flows_become_entries() -> None:
    (only,), said = made(RecordForm.FLOW_LOGS, gzip.compress(FLOW.encode()))
    assert said == RowsMade(rows=1, unread=2), "the header and the record without data"
    assert only["message"] == "TCP 10.0.0.5:44321 to 203.0.113.7:443, 8400 bytes in 12 packets, accepted"
    assert only["addresses"] == ["10.0.0.5", "203.0.113.7"] and only["class_uid"] == 4001


def test_dns_queries_become_entries() -> None:
    # as the Route 53 developer guide shows a record
    record = {
        "version": "1.100000", "account_id": "333344445555", "region": "eu-central-1", "vpc_id": "vpc-7example", "query_timestamp": "2026-11-24T02:55:42Z",
        "query_name": "c2.example.net.", "query_type": "A", "query_class": "IN", "rcode": "NOERROR", "answers": [{"Rdata": "203.0.113.7", "Type": "A", "Class": "IN"}],
        "srcaddr": "10.0.0.5", "srcport": "56067", "transport": "UDP", "srcids": {"instance": "i-0123456789abcdef0"},
    }  # fmt: skip
    (only,), said = made(RecordForm.QUERY_LOGS, gzip.compress(jsonl(record)))
    assert said == RowsMade(rows=1) and only["class_uid"] == 4003
    assert only["message"] == "asked for c2.example.net (A): NOERROR, answered 203.0.113.7"
    assert (only["host"], only["addresses"]) == ("i-0123456789abcdef0", ["10.0.0.5", "203.0.113.7"])


def test_no_more_entries_are_made_than_asked_for() -> None:
    rows, said = made(RecordForm.TIMESKETCH, jsonl(*PLASO), most=1)
    assert (len(rows), said.cut) == (1, True)


def test_it_runs_in_a_confined_child() -> None:
    order = RowOrder(form=RecordForm.TIMESKETCH, evidence_id="e-1", most=5)
    with Confined(FUNCTION, order, limits=Limits(memory=512 * MIB, output=MIB)) as child:
        sent = b"".join(child.passing(iter([jsonl(*PLASO)])))
        assert child.result(RowsMade) == RowsMade(rows=2)
    assert sent.count(b"\n") == 2
