"""What the names mean that a target asked for: the finding's, those behind its address, pools, tunnels, generated names. Pure.

Bounds: tunnels carry their data in labels (RFC 1035: 63 bytes each), so that one domain gets very many long names that are asked once
(MITRE ATT&CK T1071.004, T1572; a packet of dnscat2 without data is a label of 18). Families with a generation algorithm ask for many domains
that do not exist, and for hardly any that do (T1568.002): how the names look says little, since a third of the families makes words,
short names, or names below a domain for everybody. A mail server or a crawler meets dead domains, too, among many that live.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import JsonValue

from forensics.cloud_evidence.query_lines import Query
from forensics.models.results import Confidence, ResultSeverity, ToolFinding

_INFO, _LOW, _MEDIUM, _HIGH = ResultSeverity.INFO, ResultSeverity.LOW, ResultSeverity.MEDIUM, ResultSeverity.HIGH
# Public suffixes of two labels that matter here; a name below any other is told by its last two labels.
_TWO = frozenset({"co.uk", "com.au", "com.br", "co.jp", "com.cn", "co.in", "com.tr", "org.uk", "co.za", "com.mx"})
# Names of AWS and of the network itself are long, many and harmless.
_OWN = (
    "amazonaws.com",
    "amazonaws.com.cn",
    "aws.dev",
    "compute.internal",
    "ec2.internal",
    "cloudfront.net",
    "api.aws",
    "in-addr.arpa",
    "ip6.arpa",
    "local",
)
# Lists of senders, addresses and files that are asked by name: the question is in the label, and an intruder does not own them.
_LOOKUPS = (
    "spamhaus.org", "spamhaus.net", "surbl.org", "uribl.com", "barracudacentral.org", "sorbs.net", "spamcop.net", "abuseat.org", "mailspike.net",
    "dnswl.org", "senderscore.com", "junkemailfilter.com", "invaluement.com", "team-cymru.com", "team-cymru.org", "cymru.com", "mcafee.com",
    "sophosxl.net", "e5.sk", "trendmicro.com", "bitdefender.net", "fsapi.com", "nszones.com", "uceprotect.net", "spfbl.net", "isipp.com",
)  # fmt: skip
# Below these everybody has names of their own (beside those of BORROWED).
_SHARED = (
    "mooo.com", "dyndns.org", "dyndns.info", "dynserv.com", "yi.org", "github.io", "gitlab.io", "blogspot.com", "000webhostapp.com", "herokuapp.com",
    "netlify.app", "vercel.app", "pages.dev", "workers.dev", "web.app", "firebaseapp.com", "azurewebsites.net", "myftp.org", "sytes.net", "afraid.org",
    "chickenkiller.com", "us.to", "xxuz.com", "linkpc.net", "freedynamicdns.org", "servegame.com", "3utilities.com", "bounceme.net", "myvnc.com",
)  # fmt: skip
POOLS = (
    "2miners.com", "c3pool.com", "ethermine.org", "f2pool.com", "flypool.org", "hashvault.pro", "herominers.com", "kryptex.network", "minexmr.com",
    "monerohash.com", "moneroocean.stream", "nanopool.org", "nicehash.com", "supportxmr.com", "unmineable.com", "viabtc.com", "xmrpool.eu",
)  # fmt: skip
# Names anybody can point to an own machine or make up: seldom part of an application, often of an intrusion (T1568.001, T1090, T1567).
BORROWED = (
    "ngrok.io", "ngrok-free.app", "ngrok.app", "trycloudflare.com", "serveo.net", "localhost.run", "localtunnel.me", "duckdns.org", "no-ip.org", "ddns.net",
    "hopto.org", "zapto.org", "dynu.net", "oast.fun", "oast.me", "oast.pro", "oast.live", "oast.site", "oast.online", "interact.sh", "burpcollaborator.net",
    "oastify.com", "dnslog.cn", "ceye.io", "requestbin.net", "webhook.site", "pastebin.com", "transfer.sh", "temp.sh", "file.io", "anonfiles.com", "mega.nz",
    "portmap.io",
)  # fmt: skip
TUNNEL_NAMES, TUNNEL_LABEL, TUNNEL_TOGETHER = 100, 16, 1_600
GENERATED, GENERATED_WITHIN = 20, timedelta(hours=1)
_EVERYBODYS = frozenset({*_TWO, *BORROWED, *_SHARED})
_MOST_NEW = 40


@dataclass
class Name:
    """Everything that was asked about one name."""

    name: str
    first: datetime
    last: datetime
    count: int = 0
    missing: int = 0
    kinds: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    firewall: set[str] = field(default_factory=set)

    def take(self, asked: Query) -> None:
        """Add a record."""
        self.first, self.last = min(self.first, asked.time), max(self.last, asked.time)
        self.count += 1
        self.missing += asked.failed
        self.kinds.add(asked.kind)
        if len(self.answers) < 50:
            self.answers.update(asked.answers)
        if asked.firewall:
            self.firewall.add(asked.firewall)

    @property
    def domain(self) -> str:
        """``a.b.example.com`` → ``example.com``."""
        labels = self.name.split(".")
        keep = 3 if ".".join(labels[-2:]) in _EVERYBODYS else 2
        return ".".join(labels[-keep:])


@dataclass(frozen=True)
class QueryScene:
    """The names of a case; ``begin`` is that of the records."""

    names: Sequence[Name]
    alarm: datetime
    begin: datetime
    peers: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()


_Found = Iterator[tuple[ToolFinding, list[Name]]]


def run(scene: QueryScene) -> tuple[list[ToolFinding], list[Name]]:
    """Findings, the gravest first, and the names behind them."""
    findings: list[ToolFinding] = []
    notable: list[Name] = []
    for rule in (_of_the_finding, _to_the_peer, _pools, _hidden, _borrowed, _firewall, _tunnels, _generated, _new):
        for finding, names in rule(scene):
            findings.append(finding)
            notable += names
    rank = {severity: number for number, severity in enumerate(ResultSeverity)}
    findings.sort(key=lambda f: (-rank[f.severity], f.time or scene.alarm, f.id))
    return findings, list({n.name: n for n in notable}.values())


def below(name: str, domain: str) -> bool:
    """Whether a name is a domain or stands below it."""
    return name == domain or name.endswith(f".{domain}")


def entropy(text: str) -> float:
    """Bits a character."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values()) if text else 0.0


def _of_the_finding(scene: QueryScene) -> _Found:
    for domain in sorted(scene.domains):
        names = [n for n in scene.names if below(n.name, domain)]
        if names:
            yield (
                _finding(
                    "finding-name",
                    f"DNS name of the finding was asked for: {domain}",
                    names,
                    severity=_HIGH,
                    technique="T1071.004",
                ),
                names,
            )


def _to_the_peer(scene: QueryScene) -> _Found:
    for address in sorted(scene.peers):
        names = [n for n in scene.names if address in n.answers]
        if names:
            title = f"DNS name led to the finding's address {address}: {', '.join(n.name for n in names[:4])}"
            yield _finding("peer-name", title, names, severity=_HIGH, technique="T1071"), names


def _listed(scene: QueryScene, domains: Iterable[str]) -> Iterator[tuple[str, list[Name]]]:
    for domain in domains:
        names = [n for n in scene.names if below(n.name, domain)]
        if names:
            yield domain, names


def _pools(scene: QueryScene) -> _Found:
    for domain, names in _listed(scene, POOLS):
        title = f"DNS name of a pool for miners was asked for: {names[0].name}"
        yield _finding("pool", title, names, severity=_HIGH, technique="T1496.001", data={"pool": domain}), names


def _hidden(scene: QueryScene) -> _Found:
    names = [
        n for n in scene.names if n.name.endswith(".onion") or below(n.name, "tor2web.org") or below(n.name, "onion.ws")
    ]
    if names:
        yield (
            _finding(
                "onion",
                f"DNS name of a hidden service was asked for: {names[0].name}",
                names,
                severity=_HIGH,
                technique="T1090.003",
            ),
            names,
        )


def _borrowed(scene: QueryScene) -> _Found:
    for _, names in _listed(scene, BORROWED):
        since = scene.alarm - timedelta(days=1)
        usual = names[0].first < since and scene.begin < since
        severity = _LOW if usual else _MEDIUM
        title = f"DNS name of a relay or drop that anybody can use: {names[0].name}"
        yield (
            _finding("borrowed", title, names, severity=severity, technique="T1568", confidence=Confidence.MEDIUM),
            names,
        )


def _firewall(scene: QueryScene) -> _Found:
    for verdict, done in (("BLOCK", "was blocked by"), ("ALERT", "set off")):
        names = [n for n in scene.names if verdict in n.firewall]
        if names:
            title = f"DNS name {done} the DNS firewall: {', '.join(n.name for n in names[:4])}"
            yield _finding(f"firewall-{verdict.lower()}", title, names, severity=_MEDIUM, technique="T1071.004"), names


def _grouped(scene: QueryScene) -> dict[str, list[Name]]:
    found: dict[str, list[Name]] = defaultdict(list)
    for name in scene.names:
        if not any(below(name.name, own) for own in _OWN):
            found[name.domain].append(name)
    return found


def _tunnels(scene: QueryScene) -> _Found:
    for domain, names in _grouped(scene).items():
        if domain in _LOOKUPS:
            continue
        labels = [n.name.removesuffix(domain).rstrip(".") for n in names if n.name != domain]
        once = [label for label, n in zip(labels, (n for n in names if n.name != domain), strict=True) if n.count <= 3]
        if len(once) < TUNNEL_NAMES or sum(map(len, once)) < TUNNEL_TOGETHER:
            continue
        if statistics.median(map(len, once)) < TUNNEL_LABEL or entropy("".join(once[:200])) < 3.0:
            continue
        size = sum(map(len, once))
        title = f"DNS tunnel below {domain}: {len(once)} names that were asked for once, {size:,} bytes in them"
        kinds = {k for n in names for k in n.kinds}
        sure = Confidence.HIGH if kinds & {"TXT", "NULL", "CNAME", "MX"} else Confidence.MEDIUM
        found = _finding(
            "tunnel", title, names, severity=_HIGH, technique="T1572", confidence=sure, data={"domain": domain}
        )
        yield found, names[:10]


def _generated(scene: QueryScene) -> _Found:
    made, alive = [], []
    for names in _grouped(scene).values():
        if all(n.missing == n.count for n in names):
            made.append(min(names, key=lambda n: n.first))
        else:
            alive.append((min(n.first for n in names), max(n.last for n in names)))
    made.sort(key=lambda n: n.first)
    begin, best = 0, (0, 0, 0)
    for end, name in enumerate(made):
        while name.first - made[begin].first > GENERATED_WITHIN:
            begin += 1
        best = max(best, (end + 1 - begin, -begin, end + 1))
    names = made[-best[1] : best[2]]
    if len(names) < GENERATED:
        return
    living = sum(1 for first, last in alive if first <= names[-1].first and last >= names[0].first)
    if len(names) > living:
        title = f"DNS names that look generated: {len(names)} domains without an answer within an hour, as {names[0].domain}, beside {living} with one"
        yield (
            _finding("generated", title, names, severity=_HIGH, technique="T1568.002", confidence=Confidence.MEDIUM),
            names[:10],
        )


def _new(scene: QueryScene) -> _Found:
    """What nobody had asked for in the day before: rare names are where a person looks first."""
    since = scene.alarm - timedelta(hours=6)
    if scene.begin > since - timedelta(hours=12):
        return  # too little is known of what is usual
    before = {n.domain for n in scene.names if n.first < since}
    groups = {domain: names for domain, names in _grouped(scene).items() if domain not in before}
    names = sorted((min(g, key=lambda n: n.first) for g in groups.values()), key=lambda n: n.first)
    if names:
        title = f"DNS names first asked for around the alarm: {len(names)} domains, as {', '.join(n.domain for n in names[:4])}"
        yield (
            _finding("new", title, names[:_MOST_NEW], severity=_INFO, technique="T1071.004", confidence=Confidence.LOW),
            names[:_MOST_NEW],
        )


def _finding(
    rule: str, title: str, names: Sequence[Name], *, severity: ResultSeverity, technique: str,
    confidence: Confidence = Confidence.HIGH, data: dict[str, JsonValue] | None = None,
) -> ToolFinding:  # fmt: skip
    first = min(n.first for n in names)
    said = "; ".join(
        f"{n.name} ({', '.join(sorted(n.kinds))}): {n.count} times, {n.first:%Y-%m-%d %H:%M:%SZ} to {n.last:%Y-%m-%d %H:%M:%SZ}"
        + (f", {', '.join(sorted(n.answers)[:4])}" if n.answers else ", no answer")
        for n in sorted(names, key=lambda n: n.first)[:8]
    )
    facts: dict[str, JsonValue] = {
        "names": [*(n.name for n in names[:20])], "addresses": [*sorted({a for n in names for a in n.answers})[:20]],
        "queries": sum(n.count for n in names), "last": max(n.last for n in names).isoformat(), **(data or {}),
    }  # fmt: skip
    mark = hashlib.sha256(f"{rule}|{title}".encode()).hexdigest()[:12]
    return ToolFinding(
        id=f"queries-{rule}-{mark}", title=title[:400], detail=said[:1500], severity=severity, confidence=confidence, time=first,
        technique=technique, source="Resolver query logs", data=facts,
    )  # fmt: skip
