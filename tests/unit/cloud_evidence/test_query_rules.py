"""Questions to the Resolver are told rightly; a quiet week says nothing grave."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from forensics.cloud_evidence.log_reading import LogReading
from forensics.cloud_evidence.query_lines import query
from forensics.cloud_evidence.query_reader import QueryOrder, of_queries
from forensics.models.results import ResultSeverity
from lab.evidence.query_records import Asked, lines

ALARM = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
PEER = "198.51.100.7"
ORDER = QueryOrder(alarm=ALARM, begin=ALARM - timedelta(days=7), peers=(PEER,), domains=("evil.example",))
GRAVE = {ResultSeverity.HIGH, ResultSeverity.CRITICAL}


def at(minutes: float) -> datetime:
    return ALARM + timedelta(minutes=minutes)


def read(asked: Iterable[Asked]) -> LogReading:
    made = lines(asked, account="333344445555", region="eu-central-1", vpc="vpc-1", address="10.0.0.5", instance="i-1")
    queries = [found for line in made if (found := query(line)) is not None]
    assert len(queries) == len(made)
    return of_queries(ORDER, sorted(queries, key=lambda q: q.time))


def quiet(days: int = 7) -> list[Asked]:
    """An application's week: its own names, AWS's long ones, updates, a CDN, mistakes of typing, a mail server's look-ups."""
    draw = random.Random(5)  # noqa: S311 - noise
    found = []
    for hour in range(days * 24):
        begin = ALARM - timedelta(days=days) + timedelta(hours=hour)
        for name, answer in (
            ("shop.example.com", "10.0.1.9"),
            ("sqs.eu-central-1.amazonaws.com", "10.0.2.2"),
            ("deb.debian.org", "203.0.113.80"),
        ):
            found.append(Asked(begin + timedelta(minutes=draw.random() * 50), name, (answer,)))
        for _ in range(6):
            bucket = f"tenant-{draw.randint(1, 900):05d}-attachments.s3.eu-central-1.amazonaws.com"
            found.append(Asked(begin + timedelta(minutes=draw.random() * 50), bucket, ("10.0.2.3",)))
        host = f"img{draw.randint(1, 60)}.cdn.example.net"
        found.append(Asked(begin, host, ("203.0.113.81",), kind="CNAME"))
        if draw.random() < 0.2:
            found.append(
                Asked(
                    begin, f"{draw.choice(['mailserver', 'intranet', 'printserver'])}.example{draw.randint(1, 9)}.org"
                )
            )
        found.append(Asked(begin, f"{draw.randint(1, 250)}.113.0.203.in-addr.arpa", kind="PTR"))
    return found


def tunnel() -> list[Asked]:
    return [
        Asked(
            at(-30 + n / 20),
            f"{hashlib.sha256(str(n).encode()).hexdigest()[:50]}.t.tunnel.example",
            ("ok",),
            kind="TXT",
        )
        for n in range(300)
    ]


def generated() -> list[Asked]:
    draw = random.Random(9)  # noqa: S311 - names
    return [
        Asked(at(-20 + n / 10), "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=14)) + ".com") for n in range(40)
    ]


@pytest.mark.parametrize(
    ("asked", "rule", "technique", "time"),
    [
        ([Asked(at(-9), "c2.evil.example", (PEER,))], "finding-name", "T1071.004", at(-9)),
        ([Asked(at(-8), "cdn.harmless.example", (PEER,))], "peer-name", "T1071", at(-8)),
        ([Asked(at(-7), "xmr-eu1.nanopool.org", ("203.0.113.5",))], "pool", "T1496.001", at(-7)),
        ([Asked(at(-7), "abcdefghijklmnop.onion")], "onion", "T1090.003", at(-7)),
        (tunnel(), "tunnel", "T1572", at(-30)),
        (generated(), "generated", "T1568.002", at(-20)),
    ],
    ids=lambda value: value if isinstance(value, str) and "-" in value else None,
)
def test_each_is_named_with_its_time_among_a_quiet_week(
    asked: list[Asked], rule: str, technique: str, time: datetime
) -> None:
    reading = read([*quiet(), *asked])
    (found,) = [f for f in reading.findings if f.id.startswith(f"queries-{rule}-")]
    assert found.severity in GRAVE and found.technique == technique and found.time == time and "DNS" in found.title
    assert any(e.time == time for e in reading.timeline)


def test_a_quiet_week_has_nothing_grave() -> None:
    reading = read(quiet())
    assert [f.title for f in reading.findings if f.severity in GRAVE] == []
    assert reading.counts["queries"] == len(quiet())


def test_a_relay_that_anybody_can_use_is_less_when_it_was_usual() -> None:
    new = [Asked(at(-5), "a1b2.ngrok-free.app", ("203.0.113.7",))]
    old = [Asked(at(-60 * 24 * 5), "a1b2.ngrok-free.app", ("203.0.113.7",))]
    severities = [
        next(f.severity for f in read([*quiet(), *e, *new]).findings if "borrowed" in f.id) for e in ([], old)
    ]
    assert severities == [ResultSeverity.MEDIUM, ResultSeverity.LOW]


def test_what_the_dns_firewall_did_and_what_is_new_are_named() -> None:
    reading = read(
        [
            *quiet(),
            Asked(at(-5), "bad.example.biz", firewall="BLOCK"),
            Asked(at(-3), "odd.example.biz", ("203.0.113.9",)),
        ]
    )
    by = {f.id.split("-")[1]: f for f in reading.findings}
    assert "bad.example.biz" in by["firewall"].title and by["firewall"].severity is ResultSeverity.MEDIUM
    assert "example.biz" in by["new"].title and by["new"].severity is ResultSeverity.INFO


def test_short_records_do_not_say_what_is_new() -> None:
    order = ORDER.model_copy(update={"begin": ALARM - timedelta(hours=2)})
    made = lines([Asked(at(-3), "odd.example.biz")], account="1", region="r", vpc="v", address="a", instance="i")
    assert of_queries(order, [q for line in made if (q := query(line))]).findings == ()


def rules(asked: Iterable[Asked]) -> set[str]:
    return {f.id.split("-")[1] for f in read([*quiet(), *asked]).findings}


@pytest.mark.parametrize(
    "form",
    [
        "extiek{0}{1}.bazar",
        "{0}{1}.biz",
        "pw{0}h{1}q.ddns.net",
        "gat{0}fus{1}.com",
        "{0}landscape{1}believe.com",
        "{0}o{1}.github.io",
    ],
)
def test_generated_names_are_told_by_what_does_not_exist_however_they_look(form: str) -> None:
    """Forms of bazarbackdoor, m0yv, corebot, simda, matsnu and a downloader (baderj/domain_generation_algorithms, ``example_domains.txt``):
    of 64 families there 20 have short names, words, low entropy, or names below a domain for everybody."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = [form.format(letters[n % 26], letters[n // 26]) for n in range(60)]
    assert "generated" in rules([Asked(at(-40 + n / 2), name) for n, name in enumerate(names)])


def test_a_mail_server_meets_dead_domains_among_living_ones() -> None:
    dead = [Asked(at(-50 + n), f"sender{n}-newsletter.example{n}.org") for n in range(40)]
    living = [Asked(at(-50 + n), f"mx.customer{n}.net", ("203.0.113.9",)) for n in range(60)]
    assert "generated" not in rules([*dead, *living])
    assert "generated" in rules(dead)


def test_lists_of_senders_and_files_are_asked_by_name_and_are_no_tunnel() -> None:
    """DNS block lists (RFC 5782) and reputation services have the question in the label."""
    hashes = [hashlib.sha256(str(n).encode()).hexdigest()[:40] for n in range(300)]
    for domain in ("dbl.spamhaus.org", "avqs.mcafee.com", "hash.cymru.com"):
        assert "tunnel" not in rules(
            [Asked(at(-30 + n / 20), f"{h}.{domain}", ("127.0.0.2",)) for n, h in enumerate(hashes)]
        )


def test_a_tunnel_that_idles_has_short_labels() -> None:
    """An unencrypted packet of dnscat2 without data: nine bytes, as hexadecimal digits (its protocol.md)."""
    names = [f"{hashlib.sha256(str(n).encode()).hexdigest()[:4]}01d2f1{n:04x}0000.c.example" for n in range(400)]
    assert len(names[0].split(".")[0]) == 18
    assert "tunnel" in rules([Asked(at(-30 + n / 20), name, ("ok",), kind="TXT") for n, name in enumerate(names)])
