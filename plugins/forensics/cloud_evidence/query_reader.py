"""Reads a case's stored questions in a process of its own (``forensics.confined``): names, findings, timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from forensics.cloud_evidence import query_rules
from forensics.cloud_evidence.log_reading import LogReading, lines_of
from forensics.cloud_evidence.query_lines import Query, query
from forensics.cloud_evidence.query_rules import Name, QueryScene
from forensics.confined import Channel
from forensics.models.base import Utc
from forensics.models.outside import Outside
from forensics.models.results import ToolGap, ToolTimelineEntry

FUNCTION = "forensics.cloud_evidence.query_reader:examine"
MOST_NAMES = 200_000
_MOST_EVENTS, _MOST_FINDINGS = 300, 200


class QueryOrder(Outside):
    """What the reader is told of the case: the alarm, the window's begin, addresses and names that findings have."""

    alarm: Utc
    begin: Utc
    peers: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()


def examine(order: bytes, channel: Channel) -> LogReading:
    """The child's work: the stored gzip file of lines comes in, what it means goes out."""
    told = QueryOrder.model_validate_json(order)
    unread = 0

    def queries() -> Iterable[Query]:
        nonlocal unread
        for line in lines_of(channel.chunks()):
            found = query(line)
            if found is None:
                unread += 1
            else:
                yield found

    names, counted, left_out = _names(queries())
    channel.passed()
    return _judge(told, names, counted=counted, left_out=left_out, unread=unread)


def of_queries(order: QueryOrder, queries: Iterable[Query]) -> LogReading:
    """What questions mean for a case."""
    names, counted, left_out = _names(queries)
    return _judge(order, names, counted=counted, left_out=left_out, unread=0)


def _names(queries: Iterable[Query]) -> tuple[dict[str, Name], int, int]:
    names: dict[str, Name] = {}
    counted = left_out = 0
    for asked in queries:
        counted += 1
        held = names.get(asked.name)
        if held is None:
            if len(names) >= MOST_NAMES:
                left_out += 1
                continue
            held = names[asked.name] = Name(asked.name, asked.time, asked.time)
        held.take(asked)
    return names, counted, left_out


def _judge(order: QueryOrder, names: dict[str, Name], *, counted: int, left_out: int, unread: int) -> LogReading:
    listed = sorted(names.values(), key=lambda n: (n.first, n.name))
    scene = QueryScene(
        listed, alarm=order.alarm, begin=order.begin, peers=frozenset(order.peers), domains=frozenset(order.domains)
    )
    findings, notable = query_rules.run(scene)
    gaps = []
    if left_out:
        gaps.append(
            ToolGap(what="DNS names", why=f"{left_out} questions after the first {MOST_NAMES} names were not examined")
        )
    if unread:
        gaps.append(ToolGap(what="DNS names", why=f"{unread} stored lines are not of the Resolver's form"))
    events = sorted(notable, key=lambda n: (n.first, n.name))[:_MOST_EVENTS]
    return LogReading(
        findings=tuple(findings[:_MOST_FINDINGS]),
        timeline=tuple(_entry(n) for n in events),
        counts={"queries": counted, "names": len(names)},
        gaps=tuple(gaps),
    )


def _entry(name: Name) -> ToolTimelineEntry:
    answer = f", answered {', '.join(sorted(name.answers)[:4])}" if name.answers else ", no answer"
    what = f"DNS name {name.name} asked for ({', '.join(sorted(name.kinds))}), {name.count} times until {name.last:%Y-%m-%d %H:%M:%SZ}{answer}"
    return ToolTimelineEntry(time=name.first, what=what[:900], source="Resolver query logs")
