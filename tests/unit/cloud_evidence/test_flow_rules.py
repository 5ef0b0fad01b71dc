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

    (hint,) = [f for f in read([*quiet(), *calls("198.51.100.50")]).findings if "198.51.100.50" in f.title]
    assert (hint.severity, hint.confidence.value) == (ResultSeverity.MEDIUM, "low")
    assert hint.title == "Connection at regular times to 198.51.100.50, TCP port 8443: 20 times, every 600 s"
    (proof,) = [
        f for f in read([*quiet(), *calls(PEER)]).findings if f.id.startswith("flows-beacon-") and PEER in f.title
    ]
    assert proof.severity is ResultSeverity.HIGH


def test_a_long_connection_in_many_records_is_not_regular_calls() -> None:
    """Aggregation intervals cut a connection into records that follow each other without a pause."""
    talks = [Talk(at(-300 + n), "198.51.100.50", 443, seconds=60) for n in range(200)]
    assert not [f for f in read(talks).findings if f.id.startswith("flows-beacon")]


def test_a_way_to_another_machine_is_told_and_a_usual_one_is_low() -> None:
    found = only(read([Talk(at(-10), "10.20.1.9", 22)]), "lateral")
    assert found.severity is ResultSeverity.MEDIUM and "10.20.1.9, TCP port 22" in found.title
    usual = [Talk(ALARM - timedelta(days=5), "10.20.1.9", 22), Talk(at(-10), "10.20.1.9", 22)]
    assert only(read(usual), "lateral").severity is ResultSeverity.LOW


# ---------------------------------------------------------------------- as recordings of implants and of ordinary hosts have it
# Sources: public recordings of infected and of ordinary hosts, of Stratosphere's laboratory (CTU, IoT-23, SLIPS' data), Active
# Countermeasures (24 h of an implant), malware-traffic-analysis.net, played through these rules as flow logs; details invented.
C2 = "198.51.100.50"


def named(talks: Iterable[Talk], words: str) -> list[ToolFinding]:
    return [f for f in read(talks).findings if words in f.title]


def calls(pauses: Iterable[float], *, port: int = 80, remote: str = C2, **more: Any) -> list[Talk]:
    """Connections one after the other, each from a port of its own."""
    moment, found = -1400.0, []
    for number, pause in enumerate(pauses):
        moment += pause / 60
        found.append(Talk(at(moment), remote, port, seconds=1, local_port=40000 + number % 20000, **more))
    return found


@pytest.mark.parametrize(
    ("sleep", "jitter", "count"), [(33, 0.2, 2000), (11, 0.3, 3000), (60, 0.5, 1000), (900, 0.1, 80)]
)
def test_an_implant_that_calls_home_every_few_seconds_is_told_through_jitter_and_missed_beats(
    sleep: float, jitter: float, count: int
) -> None:
    """Implants call every 11 to 33 s in a day's recordings; a minute's records have several connections each."""
    draw = random.Random(7)  # noqa: S311 - noise
    pauses = [sleep * (1 - jitter * draw.random()) * (6 if draw.random() < 0.03 else 1) for _ in range(count)]
    (found,) = named(calls(pauses), "regular times")
    assert C2 in found.title and found.severity is ResultSeverity.MEDIUM


def test_calls_of_a_person_are_not_regular() -> None:
    draw = random.Random(8)  # noqa: S311 - noise
    assert not named(calls([draw.expovariate(1 / 40) for _ in range(1500)]), "regular times")


def test_a_dead_server_is_tried_again_and_again() -> None:
    """Three SYNs and three RSTs of 40 to 52 bytes for each try, every half second."""
    (found,) = named(calls([0.5] * 240, port=5888, out=52, back=40), "without an answer")
    assert found.severity is ResultSeverity.MEDIUM and "5888" in found.title
    assert (
        named(calls([0.5] * 240, port=443, remote="10.9.9.9", out=52, back=40), "without an answer")[0].severity
        is ResultSeverity.LOW
    )


def test_calls_every_second_are_very_often() -> None:
    assert named(calls([1.4] * 1500, out=900, back=900), "very often within an hour")
    assert not named(calls([1.4] * 1500, remote="10.20.1.9", port=5432, out=900, back=900), "very often")


def test_ports_that_do_not_belong_on_a_server_are_told() -> None:
    (irc,) = named([Talk(at(-5), C2, 6667)], "port of IRC")
    assert irc.confidence.value == "low"
    (pool,) = named([Talk(at(-5 + n), f"198.51.100.{n}", 14444) for n in range(1, 9)], "miners")
    assert pool.title.endswith("and 7 more")
    assert not named([Talk(at(-5), C2, 443)], "port of")


def test_an_upload_to_an_unusual_port_counts_from_some_megabytes_on() -> None:
    assert named([Talk(at(-30), C2, 1337, out=19_000_000, back=200_000)], "Data went out to an unusual port")
    assert not named([Talk(at(-30), C2, 443, out=19_000_000, back=200_000)], "Data went out")
    assert not named([Talk(at(-30), C2, 8080, out=19_000_000, back=19_000_000)], "Data went out")


def test_very_many_addresses_on_high_ports_are_a_network_of_peers() -> None:
    talks = [
        Talk(at(-60 + n / 10), f"198.51.{n // 250}.{n % 250 + 1}", 10_000 + n * 7, protocol=17) for n in range(300)
    ]
    (found,) = named(talks, "file sharing, or a botnet")
    assert found.severity is ResultSeverity.MEDIUM and "300 addresses on 300 different high ports" in found.title
    assert not [f for f in read(talks).findings if f.severity in GRAVE]


def test_questions_past_the_vpc_s_resolver_are_told() -> None:
    def asked(server: str, count: int) -> list[Talk]:
        return [
            Talk(at(-900 + n / 4), server, 53, protocol=17, out=70, back=120, local_port=20000 + n)
            for n in range(count)
        ]

    assert named(asked("172.64.99.75", 1200), "no well-known resolver")[0].severity is ResultSeverity.MEDIUM
    assert named(asked("8.8.8.8", 5), "a public resolver")[0].severity is ResultSeverity.INFO
    assert not named(asked("10.20.0.2", 1200), "DNS questions")


def test_passwords_that_are_tried_are_many_short_connections() -> None:
    talks = [
        Talk(at(-9 + n / 60), "10.20.1.9", 22, out=2500, back=3000, seconds=1, local_port=41000 + n) for n in range(60)
    ]
    assert named(talks, "Passwords may have been tried on SSH")
    assert not named(talks[:20], "Passwords may")


def test_a_look_at_every_machine_is_one_finding_for_each_service() -> None:
    """A scan of a network made 96 findings of ways to other machines, and 27 of scans."""
    talks = [
        Talk(at(-20 + n / 10), f"10.20.9.{n}", port, out=60, back=60, seconds=1)
        for n in range(1, 60)
        for port in (22, 445, 3389, 135, 80)
    ]
    found = [f for f in read(talks).findings if f.id.startswith(("flows-lateral", "flows-scan"))]
    assert len(found) == 5 and any("SSH of 59 other machines" in f.title for f in found)
    assert any("and 3 more such" in f.title and f.severity is ResultSeverity.HIGH for f in found)


def test_the_flags_say_who_asked_where_both_ports_are_high() -> None:
    """User guide, *TCP flag sequence*: 2 is a SYN, 18 the SYN with ACK of who was asked."""
    fields = header(f"{DEFAULT} tcp-flags")
    assert fields is not None
    start = int(at(-5).timestamp())
    rows = [
        f"2 {ACCOUNT} {INTERFACE} {C2} {ME} 33000 50000 6 5 900 {start} {start + 5} ACCEPT OK 3",
        f"2 {ACCOUNT} {INTERFACE} {ME} {C2} 50000 33000 6 5 900 {start} {start + 5} ACCEPT OK 19",
    ]
    flows_ = [f for row in rows if (f := flow(fields, row)) is not None]
    talks = [
        Talk(at(-60 + n / 10), f"198.51.{n // 250}.{n % 250 + 1}", 10_000 + n * 7, asked=False, accepted=False)
        for n in range(300)
    ]
    reading = of_flows(ORDER, [*flows_, *flows(talks)])
    assert not [f for f in reading.findings if "many-peers" in f.id or "scan" in f.id], (
        "probes of the target are not its own"
    )
    assert reading.counts["conversations"] == 301


def test_a_service_of_aws_that_is_polled_is_no_beacon() -> None:
    """``pkt-dst-aws-service`` (version 5 of the format): an agent asks CloudWatch every minute."""
    fields = header(
        "srcaddr dstaddr srcport dstport protocol packets bytes start end action pkt-src-aws-service pkt-dst-aws-service"
    )
    assert fields is not None
    start = int(at(-300).timestamp())

    def polled(service: str) -> list[Flow]:
        rows = (
            f"{ME} {C2} {40000 + n} 443 6 5 900 {start + 60 * n} {start + 60 * n + 2} ACCEPT - {service}"
            for n in range(200)
        )
        return [f for row in rows if (f := flow(fields, row)) is not None]

    assert not of_flows(ORDER, polled("AMAZON")).findings
    assert of_flows(ORDER, polled("EC2")).findings, "anybody's machine"


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
