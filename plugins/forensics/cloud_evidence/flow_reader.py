"""Reads a case's stored flows in a process of its own (``forensics.confined``): conversations, findings, timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import Field

from forensics.cloud_evidence import flow_rules
from forensics.cloud_evidence.flow_lines import PROTOCOLS, Flow, flow, header
from forensics.cloud_evidence.flow_rules import FlowScene
from forensics.cloud_evidence.flow_talk import Conversation
from forensics.cloud_evidence.log_reading import LogReading, lines_of
from forensics.confined import Channel
from forensics.models.base import Utc
from forensics.models.outside import Outside
from forensics.models.results import ToolGap, ToolTimelineEntry

FUNCTION = "forensics.cloud_evidence.flow_reader:examine"
# Conversations that are told apart; scans make one for each port and address.
MOST_CONVERSATIONS = 200_000
_MOST_EVENTS, _MOST_FINDINGS = 300, 200


class FlowOrder(Outside):
    """What the reader is told of the case: the target's addresses, the alarm, and the addresses that findings name."""

    addresses: tuple[str, ...]
    alarm: Utc
    peers: tuple[str, ...] = ()
    instance_id: str = Field(default="", max_length=40)


def examine(order: bytes, channel: Channel) -> LogReading:
    """The child's work: the stored gzip file of lines comes in, what it means goes out."""
    told = FlowOrder.model_validate_json(order)
    talks = _Conversations(frozenset(told.addresses))
    fields: tuple[str, ...] | None = None
    unread = 0
    for raw in lines_of(channel.chunks()):
        line = raw.decode("ascii", "replace")
        found = header(line)
        if found is not None:
            fields = found
        elif fields is None or (seen := flow(fields, line)) is None:
            unread += 1
        else:
            talks.add(seen)
    channel.passed()
    return judge(told, talks, unread=unread)


def of_flows(order: FlowOrder, flows: Iterable[Flow]) -> LogReading:
    """What flows mean for a case."""
    talks = _Conversations(frozenset(order.addresses))
    for seen in flows:
        talks.add(seen)
    return judge(order, talks, unread=0)


def judge(order: FlowOrder, talks: _Conversations, *, unread: int) -> LogReading:
    """Findings, the beginnings of what is notable, and what was left out."""
    scene = FlowScene(talks.all(), alarm=order.alarm, peers=frozenset(order.peers))
    findings, notable = flow_rules.run(scene)
    events = sorted(notable, key=lambda c: (c.first, c.remote))[:_MOST_EVENTS]
    gaps = []
    if talks.left_out:
        gaps.append(
            ToolGap(
                what="flows",
                why=f"{talks.left_out} flows of more than {MOST_CONVERSATIONS} conversations were not examined",
            )
        )
    if unread:
        gaps.append(ToolGap(what="flows", why=f"{unread} stored lines are not of the format that their header names"))
    return LogReading(
        findings=tuple(findings[:_MOST_FINDINGS]),
        timeline=tuple(_entry(c) for c in events),
        counts={"flows": talks.flows, "conversations": len(scene.talks), "not_the_target_s": talks.foreign},
        gaps=tuple(gaps),
    )


def _entry(talk: Conversation) -> ToolTimelineEntry:
    way = "from the target to" if talk.outbound else "to the target from"
    done = "accepted" if talk.accepted else "rejected"
    what = (
        f"Flow {way} {talk.remote}, {PROTOCOLS.get(talk.protocol, talk.protocol)} port {talk.port}, {done}: "
        f"{talk.size_out:,} bytes out, {talk.size_in:,} in, until {talk.last:%Y-%m-%d %H:%M:%SZ}"
    )
    return ToolTimelineEntry(time=talk.first, what=what, source="VPC flow logs")


def _sender_asked(seen: Flow) -> bool:
    """Whether the one who sent a record's packets began the conversation.

    A rejected packet is the first one. A SYN is sent by who asks, with an ACK by who is asked (RFC 9293; the flags of a record are those of
    all its packets). Else who asked has the higher port: ephemeral ports begin at 1,024 (RFC 6056).
    """
    if not seen.accepted or not (seen.source_port and seen.target_port):
        return True
    if seen.flags & _SYN:
        return not seen.flags & _ACK
    return seen.target_port <= seen.source_port


_SYN, _ACK = 2, 16


@dataclass
class _Conversations:
    """Flows added up by address, port, protocol, way and verdict."""

    addresses: frozenset[str]
    flows: int = 0
    foreign: int = 0
    left_out: int = 0
    _held: dict[tuple[str, int, int, bool, bool], Conversation] = field(default_factory=dict)

    def add(self, seen: Flow) -> None:
        """One record: of an answer the port of the one who was asked counts, whichever way it went."""
        self.flows += 1
        if seen.source in self.addresses:
            out, remote, local_port, remote_port = True, seen.target, seen.source_port, seen.target_port
        elif seen.target in self.addresses:
            out, remote, local_port, remote_port = False, seen.source, seen.target_port, seen.source_port
        else:
            self.foreign += 1
            return
        asked_by_target = _sender_asked(seen) is out
        port = remote_port if asked_by_target else local_port
        key = (remote, port, seen.protocol, asked_by_target, seen.accepted)
        held = self._held.get(key)
        if held is None:
            if len(self._held) >= MOST_CONVERSATIONS:
                self.left_out += 1
                return
            held = self._held[key] = Conversation(
                remote, port, seen.protocol, asked_by_target, seen.accepted, seen.begin, seen.end
            )
        asker = local_port if asked_by_target else remote_port
        held.take(begin=seen.begin, end=seen.end, size=seen.size, packets=seen.packets, out=out, asker=asker)
        held.own = held.own or bool(seen.target_service if out else seen.source_service)

    def all(self) -> list[Conversation]:
        """All of them, the earliest first."""
        return sorted(self._held.values(), key=lambda c: (c.first, c.remote, c.port))
