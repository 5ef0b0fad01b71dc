"""What a target's conversations mean: the finding's address, data out, scans, regular calls, ways to other machines. Pure.

The bounds were held against public recordings of implants, scanners and ordinary hosts (docs/cloud-evidence.md).
"""

from __future__ import annotations

import hashlib
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import JsonValue

from forensics.cloud_evidence.flow_talk import Conversation, most_within, regular
from forensics.models.addresses import public
from forensics.models.results import Confidence, ResultSeverity, ToolFinding

_INFO, _LOW, _MEDIUM, _HIGH = ResultSeverity.INFO, ResultSeverity.LOW, ResultSeverity.MEDIUM, ResultSeverity.HIGH
MIB, GIB = 1024**2, 1024**3
SCAN_TARGETS, SCAN_ANYWHERE, SCAN_WINDOW = 50, 100, timedelta(minutes=30)
MUCH, VERY_MUCH, MORE_THAN_USUAL = 500 * MIB, 5 * GIB, 10
ODD_UPLOAD, ODD_FACTOR = 5 * MIB, 4
AGAIN, RAPID, AGAIN_WITHIN = 50, 500, timedelta(hours=1)
LOGINS, LOGINS_WITHIN = 30, timedelta(minutes=10)
PEERS, PEER_PORTS = 100, 50
MANY_QUESTIONS = 1_000
_MOST_REGULAR, EACH_BY_ITSELF = 12, 3
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
# Where a password is asked for at once: many short connections are many tries.
LOGIN_PORTS = {
    21: "FTP",
    22: "SSH",
    23: "Telnet",
    445: "SMB",
    902: "VMware",
    3389: "RDP",
    5900: "VNC",
    5985: "WinRM",
    5986: "WinRM",
}
# Ports of programs that seldom belong on a server (IANA's registry; the programs' own documents; families' published analyses).
ODD_PORTS = {
    **dict.fromkeys((*range(6660, 6670), 6697), "IRC"), **dict.fromkeys((3333, 14433, 14444, 45560, 45700), "Stratum, miners"),
    **dict.fromkeys((9001, 9030), "Tor"), **dict.fromkeys((447, 449), "TrickBot"), **dict.fromkeys((1177, 5552), "njRAT"),
    4444: "Metasploit, miners", 1337: "tools of attackers", 31337: "tools of attackers", 50050: "Cobalt Strike",
}  # fmt: skip
P2P_PORTS = frozenset({*range(6881, 6890), 6969, 51413})
# Resolvers that anybody may use; who asks them leaves the VPC's own, whose questions are on record.
RESOLVERS = frozenset(
    {
        "8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "1.1.1.2", "1.0.0.2", "9.9.9.9", "149.112.112.112", "208.67.222.222", "208.67.220.220",
        "2001:4860:4860::8888", "2001:4860:4860::8844", "2606:4700:4700::1111", "2606:4700:4700::1001", "2620:fe::fe",
    }
)  # fmt: skip
_DNS, _TIME, _TCP = 53, 123, 6
_ORDINARY_PORTS = {_DNS, _TIME}
_WEB = {80, 443}


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
    for rule in (
        _peers, _data_out, _odd_upload, _scans, _many_peers, _beacons, _again, _odd_ports, _resolvers, _logins, _lateral, _from_outside,
    ):  # fmt: skip
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


def _odd_upload(scene: FlowScene) -> _Found:
    """Some megabytes more out than in, to a port that neither the web nor mail nor a log-in uses, at a new address."""
    for talk in scene.talks:
        ordinary = talk.port in {*_WEB, *_ORDINARY_PORTS, 22, 25, 465, 587, 873, 989, 990} or talk.own
        if (
            not (talk.outbound and talk.accepted and public(talk.remote))
            or ordinary
            or talk.first <= scene.alarm - timedelta(days=1)
        ):
            continue
        if ODD_UPLOAD <= talk.size_out < MUCH and talk.size_out >= ODD_FACTOR * talk.size_in:
            title = f"Data went out to an unusual port: {talk.where}, {talk.size_out / MIB:,.0f} MiB"
            yield (
                _finding(
                    "odd-upload", title, [talk], severity=_MEDIUM, technique="T1048", confidence=Confidence.MEDIUM
                ),
                [talk],
            )


def _scans(scene: FlowScene) -> _Found:
    """Many addresses about one port, many ports of one address, or very many addresses, asked within half an hour with next to no answer."""
    tried = [c for c in scene.talks if c.outbound and (not c.accepted or c.packets <= 3 * c.flows or c.unanswered)]
    groups: dict[tuple[str, object], list[Conversation]] = defaultdict(list)
    for talk in tried:
        groups["port", talk.port].append(talk)
        groups["address", talk.remote].append(talk)
        if talk.port not in _ORDINARY_PORTS and talk.protocol == _TCP:
            groups["all", ""].append(talk)
    found: dict[str, list[tuple[str, list[Conversation]]]] = defaultdict(list)
    for (kind, value), talks in groups.items():
        window = _densest(talks)
        things = {c.port if kind == "address" else c.remote for c in window}
        if len(things) < (SCAN_ANYWHERE if kind == "all" else SCAN_TARGETS):
            continue
        what = {
            "port": f"port {value} of {len(things)} addresses" if value else f"ping of {len(things)} addresses",
            "address": f"{len(things)} ports of {value}",
            "all": f"{len(things)} addresses",
        }[kind]
        found[kind if value not in P2P_PORTS else "p2p"].append((what, window))
    for what, window in found.pop("p2p", []):
        title = f"File sharing, or a scan from the instance: {what}"
        yield _finding("scan", title, window, severity=_MEDIUM, technique="T1046"), window[:20]
    if len(found) > 1:
        found.pop("all", None)  # the others say which
    for kind, scans in found.items():
        several = [scans] if len(scans) > EACH_BY_ITSELF else [[scan] for scan in scans]
        for some in several:
            more = f", and {len(some) - 2} more such" if len(some) > EACH_BY_ITSELF else ""
            window = sorted((c for _, talks in some for c in talks), key=lambda c: (c.first, c.remote, c.port))
            title = f"Scan from the instance: {', '.join(what for what, _ in some[:2])}{more}"
            # on ports of all kinds it may be file sharing as well
            yield (
                _finding("scan", title, window, severity=_MEDIUM if kind == "all" else _HIGH, technique="T1046"),
                window[:20],
            )


def _many_peers(scene: FlowScene) -> _Found:
    """File sharing and botnets without a server talk to very many addresses on ports that nobody has agreed on."""
    talks = [c for c in scene.talks if c.outbound and c.accepted and public(c.remote) and c.port >= 1024 and not c.own]
    remotes, ports = {c.remote for c in talks}, {c.port for c in talks}
    if len(remotes) >= PEERS and len(ports) >= PEER_PORTS:
        title = f"Conversations with {len(remotes)} addresses on {len(ports)} different high ports: file sharing, or a botnet"
        yield (
            _finding("many-peers", title, talks, severity=_MEDIUM, technique="T1095", confidence=Confidence.MEDIUM),
            talks[:20],
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
    found = []
    for talk in scene.talks:
        asked = talk.outbound and talk.accepted and public(talk.remote) and not talk.own
        if not asked or talk.port in _ORDINARY_PORTS or not (pause := regular(talk.starts)):
            continue
        found.append((talk, pause))
    # an own port, then the most calls: many programs look for news on the web at regular times
    found.sort(key=lambda item: (item[0].remote not in scene.peers, item[0].port in _WEB, -len(item[0].starts)))
    for talk, pause in found[:_MOST_REGULAR]:
        title = f"Connection at regular times to {talk.where}: {len(talk.starts)} times, every {pause:,.0f} s"
        severity, sure = (
            (_HIGH, Confidence.HIGH) if talk.remote in scene.peers else (_usual(talk, scene), Confidence.LOW)
        )
        yield _finding("beacon", title, [talk], severity=severity, technique="T1071", confidence=sure), [talk]
    if more := [talk for talk, _ in found[_MOST_REGULAR:]]:
        title = f"Connections at regular times to {len(more)} more addresses: {', '.join(talk.remote for talk in more[:4])}, …"
        yield _finding("beacons", title, more, severity=_INFO, technique="T1071", confidence=Confidence.LOW), more[:20]


def _usual(talk: Conversation, scene: FlowScene) -> ResultSeverity:
    """What went on for days before the alarm is less, on the web's ports: programs look for news there. An intruder may be older than that."""
    return _LOW if talk.port in _WEB and talk.first < scene.alarm - timedelta(days=2) else _MEDIUM


def _again(scene: FlowScene) -> _Found:
    """An implant whose server is gone, or refuses, tries again and again; so does a program with a wrong setting. Others call every second."""
    for talk in scene.talks:
        asked = talk.outbound and talk.accepted and talk.port not in _ORDINARY_PORTS and not talk.own
        most = RAPID if not talk.unanswered else AGAIN
        if not asked or len(talk.starts) < most or (regular(talk.starts) and public(talk.remote)):
            continue  # what comes at regular times is said as such
        if not talk.unanswered and not public(talk.remote):
            continue  # a database, a cache: what an application is there for
        if most_within(talk.starts, AGAIN_WITHIN) < most:
            continue
        how = "Tried again and again, without an answer" if talk.unanswered else "Connection very often within an hour"
        title = f"{how}: {talk.where}, {len(talk.starts)} times"
        severity = _usual(talk, scene) if public(talk.remote) else _LOW
        yield _finding("again", title, [talk], severity=severity, technique="T1008", confidence=Confidence.LOW), [talk]


def _odd_ports(scene: FlowScene) -> _Found:
    groups: dict[tuple[int, str], list[Conversation]] = defaultdict(list)
    for talk in scene.talks:
        if talk.outbound and talk.accepted and talk.port in ODD_PORTS and public(talk.remote) and not talk.own:
            groups[talk.port, ODD_PORTS[talk.port]].append(talk)
    for (port, use), talks in groups.items():
        many = f" and {len(talks) - 1} more" if len(talks) > 1 else ""
        title = f"Connection outwards to a port of {use}: {talks[0].remote}, port {port}{many}"
        yield (
            _finding("odd-port", title, talks, severity=_MEDIUM, technique="T1571", confidence=Confidence.LOW),
            talks[:10],
        )


def _resolvers(scene: FlowScene) -> _Found:
    """Questions to the VPC's resolver are in no flow log (VPC user guide, *Flow log limitations*): what is there went past it."""
    for talk in scene.talks:
        if not (talk.outbound and talk.accepted and talk.port == _DNS and public(talk.remote)) or talk.own:
            continue
        known, many = talk.remote in RESOLVERS, talk.flows >= MANY_QUESTIONS
        what = "a public resolver" if known else "a server that is no well-known resolver"
        title = f"DNS questions past the VPC's own resolver, to {what}: {talk.remote}, {talk.flows:,} flows"
        severity = _MEDIUM if many and not known else _LOW if many or not known else _INFO
        yield (
            _finding("resolver", title, [talk], severity=severity, technique="T1071.004", confidence=Confidence.MEDIUM),
            [talk],
        )


def _logins(scene: FlowScene) -> _Found:
    """Many short connections to where a password is asked for."""
    for talk in scene.talks:
        if not (talk.outbound and talk.accepted and talk.port in LOGIN_PORTS):
            continue
        tries = most_within(talk.starts, LOGINS_WITHIN)
        if tries >= LOGINS and talk.size_out <= 20_000 * talk.flows and not talk.unanswered:
            title = f"Passwords may have been tried on {LOGIN_PORTS[talk.port]} of {talk.where}: {tries} connections within ten minutes"
            yield (
                _finding("logins", title, [talk], severity=_MEDIUM, technique="T1110", confidence=Confidence.MEDIUM),
                [talk],
            )


def _lateral(scene: FlowScene) -> _Found:
    by_port: dict[int, list[Conversation]] = defaultdict(list)
    for talk in scene.talks:
        if talk.outbound and talk.accepted and talk.port in ADMIN_PORTS and public(talk.remote) is None:
            by_port[talk.port].append(talk)
    for port, talks in by_port.items():
        alone = [[talk] for talk in talks] if len(talks) <= EACH_BY_ITSELF else [talks]
        for some in alone:
            severity = _LOW if all(talk.first < scene.alarm - timedelta(days=2) for talk in some) else _MEDIUM
            whom = (
                f"another machine of the network: {some[0].where}" if len(some) == 1
                else f"{len({c.remote for c in some})} other machines of the network: {', '.join(c.remote for c in some[:3])}, …"
            )  # fmt: skip
            title = f"Connection outwards to {ADMIN_PORTS[port]} of {whom}"
            yield (
                _finding("lateral", title, some, severity=severity, technique="T1021", confidence=Confidence.MEDIUM),
                some[:20],
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
