"""Flows are found in files and told rightly: the finding's address, data out, scans, regular calls, other machines; a quiet week says nothing grave."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.cloud_evidence.flow_filter import FUNCTION, FlowSelectOrder
from forensics.cloud_evidence.flow_lines import Flow, flow, header
from forensics.cloud_evidence.flow_reader import FUNCTION as READER
from forensics.cloud_evidence.flow_reader import FlowOrder, of_flows
from forensics.cloud_evidence.line_filter import LinesSelected
from forensics.cloud_evidence.log_reading import LogReading
from forensics.cloud_evidence.trail_filter import ObjectHeader, ObjectReport
from forensics.confined import MIB, Confined, Limits
from forensics.models.results import ResultSeverity, ToolFinding
from lab.evidence.flow_records import DEFAULT, Talk, log_file

ALARM = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
ME, INTERFACE, PEER, ACCOUNT = "10.20.0.5", "eni-0aaaabbbbccccddd3", "198.51.100.7", "333344445555"
ORDER = FlowOrder(addresses=(ME,), alarm=ALARM, peers=(PEER,))
GRAVE = {ResultSeverity.HIGH, ResultSeverity.CRITICAL}


def at(minutes: float) -> datetime:
    return ALARM + timedelta(minutes=minutes)


def quiet(days: int = 7) -> list[Talk]:
    """A web server's week: its visitors, its updates, its database, probes from the internet."""
    draw = random.Random(3)  # noqa: S311 - noise
    found = []
    for hour in range(days * 24):
        begin = ALARM - timedelta(days=days) + timedelta(hours=hour)
        for n in range(20):
            moment = begin + timedelta(minutes=draw.random() * 55)
            found.append(
                Talk(
                    moment,
                    f"203.0.113.{draw.randint(1, 250)}",
                    443,
                    out=draw.randint(2_000, 90_000),
                    back=900,
                    asked=False,
                )
            )
            if n % 4 == 0:
                found.append(
                    Talk(
                        moment,
                        f"192.0.2.{draw.randint(1, 250)}",
                        draw.choice([22, 23, 3389, 8080]),
                        asked=False,
                        accepted=False,
                    )
                )
        found.append(Talk(begin + timedelta(minutes=draw.random() * 50), "10.20.1.9", 5432))
        found.append(
            Talk(begin + timedelta(minutes=draw.random() * 50), "203.0.113.80", 443, out=draw.randint(4_000, 9_000))
        )
        found.append(Talk(begin, "169.254.169.123", 123, protocol=17))
    return found


def flows(talks: Iterable[Talk]) -> Iterable[Flow]:
    fields = header(DEFAULT)
    assert fields is not None
    for talk in talks:
        for row in talk.rows(account=ACCOUNT, interface=INTERFACE, address=ME):
            found = flow(fields, " ".join(str(row.get(name, "-")) for name in fields))
            assert found is not None
            yield found


def read(talks: Iterable[Talk]) -> LogReading:
    return of_flows(ORDER, sorted(flows(talks), key=lambda f: f.begin))


def only(reading: LogReading, rule: str) -> ToolFinding:
    (found,) = [f for f in reading.findings if f.id.startswith(f"flows-{rule}-")]
    return found


def test_a_quiet_week_has_no_grave_finding() -> None:
    reading = read(quiet())
    assert [f.title for f in reading.findings if f.severity in GRAVE] == []
    assert reading.counts["flows"] > 5_000 and reading.counts["not_the_target_s"] == 0


def test_the_finding_s_address_is_told_with_bytes_and_beginning() -> None:
    found = only(
        read([*quiet(), Talk(at(-90), PEER, 443, out=5_000, back=70_000), Talk(at(-30), PEER, 443, out=100, back=200)]),
        "peer",
    )
    assert found.severity is ResultSeverity.HIGH and found.time == at(-90)
    assert found.title == f"Connection to the finding's address {PEER}: 4 flows, 5,100 bytes out, 70,200 in"


def test_what_was_rejected_is_no_connection() -> None:
    found = only(read([Talk(at(-90), PEER, 443, accepted=False)]), "peer")
    assert found.severity is ResultSeverity.LOW and found.title.endswith("all rejected")


def test_much_data_to_one_new_address_is_told() -> None:
    found = only(
        read([*quiet(), *(Talk(at(-60 + n), "198.51.100.99", 443, out=600 * MIB) for n in range(10))]), "data-out"
    )
    assert found.severity is ResultSeverity.HIGH and found.technique == "T1048"
    assert found.title == "Data went out to 198.51.100.99: 6,000 MiB"


def test_what_visitors_fetch_is_not_data_that_was_sent() -> None:
    talks = [*quiet(), Talk(at(-60), "198.51.100.99", 443, out=9_000 * MIB, asked=False)]
    assert not [f for f in read(talks).findings if f.id.startswith("flows-data-out")]


@pytest.mark.parametrize(
    ("talks", "what"),
    [
        ([Talk(at(-20 + n / 10), f"10.20.{n // 250}.{n % 250 + 1}", 22, out=40, back=40, accepted=n % 5 == 0) for n in range(200)], "port 22 of 200 addresses"),
        ([Talk(at(-20 + n / 20), "10.20.1.9", n + 1, out=40, back=40, accepted=False) for n in range(300)], "300 ports of 10.20.1.9"),
    ],
)  # fmt: skip
def test_a_scan_is_told_once(talks: list[Talk], what: str) -> None:
    found = only(read([*quiet(), *talks]), "scan")
    assert (
        found.title == f"Scan from the instance: {what}"
        and found.severity is ResultSeverity.HIGH
        and found.time == at(-20)
    )


def test_a_scan_of_the_target_from_the_internet_is_none() -> None:
    talks = [Talk(at(-20 + n / 20), "192.0.2.7", n + 1, asked=False, accepted=False) for n in range(300)]
    assert not [f for f in read(talks).findings if f.id.startswith("flows-scan")]


def test_regular_calls_are_a_hint_and_with_the_finding_s_address_proof() -> None:
    def calls(remote: str) -> list[Talk]:
        return [Talk(at(-300 + 10 * n), remote, 8443, out=300, back=200, seconds=2) for n in range(20)]

    hint = only(read([*quiet(), *calls("198.51.100.50")]), "beacon")
    assert (hint.severity, hint.confidence.value) == (ResultSeverity.MEDIUM, "low")
    assert hint.title == "Connection at regular times to 198.51.100.50, TCP port 8443: 20 times, every 600 s"
    assert only(read([*quiet(), *calls(PEER)]), "beacon").severity is ResultSeverity.HIGH


def test_a_long_connection_in_many_records_is_not_regular_calls() -> None:
    """Aggregation intervals cut a connection into records that follow each other without a pause."""
    talks = [Talk(at(-300 + n), "198.51.100.50", 443, seconds=60) for n in range(200)]
    assert not [f for f in read(talks).findings if f.id.startswith("flows-beacon")]


def test_a_way_to_another_machine_is_told_and_a_usual_one_is_low() -> None:
    found = only(read([Talk(at(-10), "10.20.1.9", 22)]), "lateral")
    assert found.severity is ResultSeverity.MEDIUM and "10.20.1.9, TCP port 22" in found.title
    usual = [Talk(ALARM - timedelta(days=5), "10.20.1.9", 22), Talk(at(-10), "10.20.1.9", 22)]
    assert only(read(usual), "lateral").severity is ResultSeverity.LOW


# ---------------------------------------------------------------------- the search in files, confined
def search(objects: dict[str, bytes]) -> tuple[bytes, dict[str, ObjectReport], LinesSelected]:
    order = FlowSelectOrder(
        interfaces=(INTERFACE,), addresses=(ME,), begin=ALARM - timedelta(days=1), end=ALARM + timedelta(days=1)
    )
    kept, reports = [], {}

    def pieces() -> Any:
        for name, body in objects.items():
            yield ObjectHeader(name=name).model_dump_json().encode()
            yield body

    with Confined(FUNCTION, order, limits=Limits(memory=512 * MIB, output=64 * MIB)) as child:
        for said in child.passing(pieces()):
            if said[:1] == b"R":
                kept.append(said[1:] + b"\n")
            else:
                report = ObjectReport.model_validate_json(said[1:])
                reports[report.name] = report
        return b"".join(kept), reports, child.result(LinesSelected)


def packed(talk: Talk, *, interface: str = INTERFACE, fields: str = DEFAULT, address: str = ME) -> bytes:
    return gzip.compress(log_file(talk.rows(account=ACCOUNT, interface=interface, address=address), fields=fields))


def test_the_target_s_lines_are_kept_as_they_are_under_their_own_header() -> None:
    custom = "start end srcaddr dstaddr bytes action interface-id"
    kept, reports, end = search(
        {
            "a": packed(Talk(at(-5), PEER, 443)),
            "b": packed(Talk(at(-4), PEER, 443), fields=custom),
            "c": packed(Talk(at(-3), PEER, 443), interface="eni-other"),
        }
    )
    assert [line for line in kept.decode().splitlines() if "interface-id" in line] == [DEFAULT, custom]
    assert end.records == 4 and [reports[n].selected for n in "abc"] == [2, 2, 0]
    with Confined(READER, ORDER, limits=Limits()) as child:
        for _ in child.passing(iter([gzip.compress(kept)])):
            pass
        reading = child.result(LogReading)
    assert reading.counts["flows"] == 4 and only(reading, "peer")


def test_a_format_without_interfaces_is_searched_by_address() -> None:
    kept, _, end = search(
        {
            "a": packed(Talk(at(-5), PEER, 443), fields="start end srcaddr dstaddr bytes"),
            "b": packed(
                Talk(at(-5), "10.20.0.55", 443), fields="start end srcaddr dstaddr bytes", address="10.20.0.56"
            ),
        }
    )
    assert end.records == 2 and b"10.20.0.55" not in kept


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "cut off"),
        (b"PAR1", "broken"),
        (packed(Talk(at(-5), PEER, 443))[:-9], "cut off"),
        (gzip.compress(b"hello world\n"), "names of its fields"),
        (gzip.compress(b"x" * 5_000_000), "names of its fields"),
    ],
    ids=["empty", "parquet", "cut", "no-header", "one-line"],
)
def test_a_broken_file_is_named_and_the_next_one_read(body: bytes, word: str) -> None:
    _, reports, end = search({"bad": body, "good": packed(Talk(at(-5), PEER, 443))})
    assert word in reports["bad"].problem and end.records >= 2 and not reports["good"].problem


def test_lines_outside_of_the_window_are_left_out() -> None:
    assert search({"a": packed(Talk(ALARM - timedelta(days=3), PEER, 443))})[2].records == 0
