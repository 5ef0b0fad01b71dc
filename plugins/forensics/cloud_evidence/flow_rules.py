"""What a target's conversations mean: the finding's address, data out, scans, regular calls, ways to other machines. Pure."""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import JsonValue

from forensics.cloud_evidence.flow_lines import PROTOCOLS
from forensics.models.addresses import public
from forensics.models.results import Confidence, ResultSeverity, ToolFinding

_LOW, _MEDIUM, _HIGH = ResultSeverity.LOW, ResultSeverity.MEDIUM, ResultSeverity.HIGH
MIB, GIB = 1024**2, 1024**3
# A conversation is one as long as its records follow each other: aggregation intervals are one or ten minutes.
_SAME = timedelta(seconds=90)
SCAN_TARGETS, SCAN_WINDOW = 50, timedelta(minutes=30)
MUCH, VERY_MUCH, MORE_THAN_USUAL = 500 * MIB, 5 * GIB, 10
BEACONS, LEAST_PAUSE, MOST_PAUSE, JITTER = 12, 30.0, 6 * 3600.0, 0.15
ADMIN_PORTS = {
    22: "SSH",
    3389: "RDP",
    445: "SMB",
    135: "RPC",
    5985: "WinRM",
    5986: "WinRM",
    2375: "Docker",
    10250: "kubelet",
}
_ORDINARY_PORTS = {53, 123}
_KEPT_STARTS = 2_000


@dataclass
class Conversation:
    """All flows with one address about one port: ``outbound`` when the target asked, ``port`` that of the one who was asked."""

    remote: str
    port: int
    protocol: int
    outbound: bool
    accepted: bool
    first: datetime
    last: datetime
    flows: int = 0
    packets: int = 0
    size_out: int = 0
    size_in: int = 0
    starts: list[datetime] = field(default_factory=list)

    def take(self, *, begin: datetime, end: datetime, size: int, packets: int, out: bool) -> None:
        """Add a record."""
        if out is self.outbound and (not self.starts or begin - self.last > _SAME) and len(self.starts) < _KEPT_STARTS:
            self.starts.append(begin)
        self.first, self.last = min(self.first, begin), max(self.last, end)
        self.flows += 1
        self.packets += packets
        if out:
            self.size_out += size
        else:
            self.size_in += size

    @property
    def where(self) -> str:
        """``198.51.100.7, TCP port 443``."""
        return f"{self.remote}, {PROTOCOLS.get(self.protocol, f'protocol {self.protocol}')} port {self.port}"


@dataclass(frozen=True)
class FlowScene:
    """The conversations of a case."""

    talks: Sequence[Conversation]
    alarm: datetime
    peers: frozenset[str]


def run(scene: FlowScene) -> tuple[list[ToolFinding], list[Conversation]]:
    """Findings, the gravest first, and the conversations behind them."""
    findings: list[ToolFinding] = []
    notable: list[Conversation] = []
    for rule in (_peers, _data_out, _scans, _beacons, _lateral, _from_outside):
        for finding, talks in rule(scene):
            findings.append(finding)
            notable += talks
    rank = {severity: number for number, severity in enumerate(ResultSeverity)}
    findings.sort(key=lambda f: (-rank[f.severity], f.time or scene.alarm, f.id))
    return findings, list({id(c): c for c in notable}.values())


_Found = Iterable[tuple[ToolFinding, list[Conversation]]]


def _peers(scene: FlowScene) -> _Found:
    for address in sorted(scene.peers):
        talks = [c for c in scene.talks if c.remote == public(address)]
        if not talks:
            continue
        accepted = [c for c in talks if c.accepted]
        out, came = sum(c.size_out for c in accepted), sum(c.size_in for c in accepted)
        done = "" if accepted else ": all rejected"
        title = f"Connection to the finding's address {address}: {sum(c.flows for c in talks)} flows, {out:,} bytes out, {came:,} in{done}"
        yield _finding("peer", title, talks, severity=_HIGH if accepted else _LOW, technique="T1071"), talks


def _data_out(scene: FlowScene) -> _Found:
    totals: dict[str, list[Conversation]] = defaultdict(list)
    for talk in scene.talks:
        if talk.accepted and public(talk.remote):
            totals[talk.remote].append(talk)
    sizes = {remote: sum(c.size_out for c in talks) for remote, talks in totals.items()}
    usual = statistics.median(sizes.values()) if len(sizes) > 2 else 0
    for remote, size in sorted(sizes.items(), key=lambda item: -item[1]):
        asked = [c for c in totals[remote] if c.outbound]
        if size < MUCH or size < MORE_THAN_USUAL * usual or not asked:
            continue
        new = min(c.first for c in asked) > scene.alarm - timedelta(days=1)
        severity = _HIGH if size >= VERY_MUCH and new else _MEDIUM if new else _LOW
        title = f"Data went out to {remote}: {size / MIB:,.0f} MiB"
        yield (
            _finding("data-out", title, asked, severity=severity, technique="T1048", confidence=Confidence.MEDIUM),
            asked,
        )


def _scans(scene: FlowScene) -> _Found:
    """Many addresses about one port, or many ports of one address, asked within half an hour with next to no answer."""
    tried = [c for c in scene.talks if c.outbound and (not c.accepted or c.packets <= 3 * c.flows)]
    groups: dict[tuple[str, object], list[Conversation]] = defaultdict(list)
    for talk in tried:
        groups["port", talk.port].append(talk)
        groups["address", talk.remote].append(talk)
    for (kind, value), talks in groups.items():
        window = _densest(talks)
        things = {c.remote if kind == "port" else c.port for c in window}
        if len(things) < SCAN_TARGETS:
            continue
        what = f"port {value} of {len(things)} addresses" if kind == "port" else f"{len(things)} ports of {value}"
        yield (
            _finding("scan", f"Scan from the instance: {what}", window, severity=_HIGH, technique="T1046"),
            window[:20],
        )


def _densest(talks: Sequence[Conversation]) -> list[Conversation]:
    best: tuple[int, int, int] = (0, 0, 0)
    begin = 0
    for end, talk in enumerate(talks):
        while talk.first - talks[begin].first > SCAN_WINDOW:
            begin += 1
        best = max(best, (end + 1 - begin, -begin, end + 1))
    return list(talks[-best[1] : best[2]])


def _beacons(scene: FlowScene) -> _Found:
    for talk in scene.talks:
        if not (talk.outbound and talk.accepted and public(talk.remote)) or talk.port in _ORDINARY_PORTS:
            continue
        pauses = [(b - a).total_seconds() for a, b in zip(talk.starts, talk.starts[1:], strict=False)]
        if len(pauses) < BEACONS:
            continue
        mean = statistics.fmean(pauses)
        if not LEAST_PAUSE <= mean <= MOST_PAUSE or statistics.pstdev(pauses) > JITTER * mean:
            continue
        known = talk.remote in scene.peers
        title = f"Connection at regular times to {talk.where}: {len(talk.starts)} times, every {mean:,.0f} s"
        # many programs look for news at regular times: without more it is a hint
        severity, sure = (_HIGH, Confidence.HIGH) if known else (_MEDIUM, Confidence.LOW)
        yield _finding("beacon", title, [talk], severity=severity, technique="T1071", confidence=sure), [talk]


def _lateral(scene: FlowScene) -> _Found:
    for talk in scene.talks:
        if not (talk.outbound and talk.accepted and talk.port in ADMIN_PORTS and public(talk.remote) is None):
            continue
        usual = talk.first < scene.alarm - timedelta(days=2)
        severity = _LOW if usual else _MEDIUM
        title = f"Connection outwards to {ADMIN_PORTS[talk.port]} of another machine of the network: {talk.where}"
        yield (
            _finding("lateral", title, [talk], severity=severity, technique="T1021", confidence=Confidence.MEDIUM),
            [talk],
        )


def _from_outside(scene: FlowScene) -> _Found:
    for talk in scene.talks:
        # three packets and more both ways are more than a probe
        spoke = talk.accepted and talk.packets >= 10 and talk.size_out > 1024
        if talk.outbound or not spoke or talk.port not in ADMIN_PORTS or not public(talk.remote):
            continue
        title = f"Connection from outside to {ADMIN_PORTS[talk.port]}: {talk.where}"
        yield (
            _finding("from-outside", title, [talk], severity=_LOW, technique="T1021", confidence=Confidence.MEDIUM),
            [talk],
        )


def _finding(
    rule: str,
    title: str,
    talks: Sequence[Conversation],
    *,
    severity: ResultSeverity,
    technique: str,
    confidence: Confidence = Confidence.HIGH,
) -> ToolFinding:
    first = min(c.first for c in talks)
    remotes = sorted({c.remote for c in talks})
    addresses: list[JsonValue] = [*remotes[:20]]
    data: dict[str, JsonValue] = {
        "addresses": addresses, "flows": sum(c.flows for c in talks), "bytes_out": sum(c.size_out for c in talks),
        "bytes_in": sum(c.size_in for c in talks), "last": max(c.last for c in talks).isoformat(),
    }  # fmt: skip
    said = "; ".join(
        f"{c.where}: {c.size_out:,} bytes out, {c.size_in:,} in, {c.first:%Y-%m-%d %H:%M:%SZ} to {c.last:%Y-%m-%d %H:%M:%SZ}"
        for c in talks[:6]
    )
    mark = hashlib.sha256(f"{rule}|{title}".encode()).hexdigest()[:12]
    return ToolFinding(
        id=f"flows-{rule}-{mark}", title=title[:400], detail=said[:1500], severity=severity, confidence=confidence, time=first,
        technique=technique, source="VPC flow logs", data=data,
    )  # fmt: skip
