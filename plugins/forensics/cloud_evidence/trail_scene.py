"""What the rules on CloudTrail know of a case, and how they make findings. Pure.

A finding is one act of one principal on one thing: repeated calls are counted in it, with the ids of CloudTrail's events, so that a
reader finds the raw records.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice

from pydantic import JsonValue

from forensics.cloud_evidence.followed import Followed
from forensics.cloud_evidence.trail_record import TrailRecord, texts
from forensics.deployment import DEPLOYMENT
from forensics.models.addresses import public
from forensics.models.base import AccountId, Utc
from forensics.models.outside import Outside
from forensics.models.results import Confidence, ResultSeverity, ToolFinding

INFO, LOW, MEDIUM, HIGH, CRITICAL = ResultSeverity
MOST_EVENTS = 20
_LONGEST = 160


class TrailOrder(Outside):
    """What the reader of the stored records is told of the case.

    ``addresses`` are the target's own, ``exits`` those of its network's NAT gateways, None where they are not known.
    ``friends`` are accounts that the deployment shares with by itself.
    """

    instance_id: str
    account_id: AccountId
    region: str
    role_prefix: str = f"{DEPLOYMENT}-"
    friends: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    exits: tuple[str, ...] | None = None
    groups: tuple[str, ...] = ()
    role_name: str = ""
    alarm: Utc
    peers: tuple[str, ...] = ()
    followed: Followed


@dataclass(frozen=True)
class Scene:
    """The calls of a case in the order of their times, the product's own left out."""

    order: TrailOrder
    calls: Sequence[TrailRecord]

    @cached_property
    def mine(self) -> frozenset[str]:
        """Ids of the target and of what was made from it."""
        return frozenset(i for i in self.order.followed.ids if not i.startswith(("AKIA", "ASIA")))

    @cached_property
    def theirs(self) -> list[TrailRecord]:
        """Calls with credentials that the case follows: the instance's, and what came of them."""
        return [c for c in self.calls if self.acts(c)]

    @cached_property
    def session(self) -> list[TrailRecord]:
        """Calls of the instance's own role session."""
        return [c for c in self.calls if c.identity.session_name == self.order.instance_id]

    def acts(self, call: TrailRecord) -> bool:
        """Whether the case follows the caller."""
        return self.order.followed.acts(call)

    def touches(self, call: TrailRecord) -> bool:
        """Whether a call is about the target or something of it."""
        return any(
            part in self.mine
            for said in (call.parameters, call.details)
            for text in texts(said)
            for part in _parts(text)
        )

    @cached_property
    def home(self) -> frozenset[str]:
        """Addresses that calls of the target's session come from by right."""
        return frozenset(a for text in (*self.order.addresses, *(self.order.exits or ())) if (a := plain_address(text)))

    def elsewhere(self, call: TrailRecord) -> str:
        """The address of a call of the session that is not the target's; empty where it is, and for AWS's own services."""
        address = plain_address(call.address)
        if not address or address in self.home or call.identity.invoked_by:
            return ""
        return address

    def doubtful(self, call: TrailRecord) -> bool:
        """From a private address, but through no endpoint that the record names: CloudTrail names one where there is one."""
        return public(plain_address(call.address)) is None and not call.endpoint

    @cached_property
    def abroad(self) -> list[TrailRecord]:
        """The session's calls from elsewhere; none while it is not known where the target's traffic leaves its network."""
        if self.order.exits is None:
            return []
        return [c for c in self.session if self.elsewhere(c)]

    @cached_property
    def away(self) -> frozenset[str]:
        """Ids of the events of :attr:`abroad`."""
        return frozenset(c.event_id for c in self.abroad)


def plain_address(text: str) -> str:
    """An IP address in its usual form; empty for the name of a service."""
    try:
        return str(ipaddress.ip_address(text.strip()))
    except ValueError:
        return ""


def _parts(text: str) -> Iterable[str]:
    return (text, text.rsplit("/", 1)[-1], text.rsplit(":", 1)[-1])


@dataclass
class Maker:
    """Collects findings; ``most`` of one rule, the rest is counted."""

    most: int = 40
    findings: list[ToolFinding] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    notable: dict[str, TrailRecord] = field(default_factory=dict)
    _made: dict[str, int] = field(default_factory=dict)

    def add(
        self,
        rule: str,
        title: str,
        calls: Sequence[TrailRecord],
        *,
        severity: ResultSeverity,
        technique: str,
        confidence: Confidence = Confidence.HIGH,
        detail: str = "",
        data: dict[str, JsonValue] | None = None,
    ) -> None:
        """One finding on one or more calls, the first of which gives it its time."""
        number = self._made[rule] = self._made.get(rule, 0) + 1
        if number > self.most:
            self.left_out[rule] = self.left_out.get(rule, 0) + 1
            return
        first, last = calls[0], calls[-1]
        said = detail or describe(calls)
        for call in calls[:MOST_EVENTS]:
            self.notable[call.event_id] = call
        events: list[JsonValue] = [c.event_id for c in calls[:MOST_EVENTS]]
        seen = dict.fromkeys(c.address for c in calls if c.address)
        addresses: list[JsonValue] = list(islice(seen, 10))
        facts: dict[str, JsonValue] = {
            "event_ids": events, "calls": len(calls), "principal": cut(first.identity.name, 300), "addresses": addresses,
            "last": last.time.isoformat(), "region": first.region, **(data or {}),
        }  # fmt: skip
        mark = hashlib.sha256(f"{rule}|{title}|{first.event_id}".encode()).hexdigest()[:12]
        self.findings.append(
            ToolFinding(
                id=f"cloudtrail-{rule}-{mark}", title=cut(title, 400), detail=cut(said, 1500), severity=severity,
                confidence=confidence, time=first.time, technique=technique, source=f"CloudTrail {first.event_id}", data=facts,
            )
        )  # fmt: skip


def describe(calls: Sequence[TrailRecord]) -> str:
    """Who called what, from where, how often, and whether it was refused."""
    first, last = calls[0], calls[-1]
    names = ", ".join(dict.fromkeys(c.call for c in calls[:200]))
    refused = sum(1 for c in calls if not c.ok)
    until = f" until {last.time:%Y-%m-%d %H:%M:%SZ}" if len(calls) > 1 else ""
    often = f"{len(calls)} calls" if len(calls) > 1 else "one call"
    said = f"{cut(names)} by {cut(first.identity.name)} from {cut(first.address)} ({cut(first.agent, 80)}) in {first.region}"
    denied = f"; {refused} refused ({cut(next(c.error for c in calls if not c.ok), 80)})" if refused else ""
    return f"{said}, {often}{until}{denied}"


def cut(text: str, limit: int = _LONGEST) -> str:
    """A text of bounded length."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
