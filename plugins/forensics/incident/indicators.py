"""Which indicators a case has, and how much it says that two cases share some. Pure.

Only what findings name counts: of severity medium and above, users and names of files of high and above. Private addresses, public
resolvers, AWS's own names, accounts and files that every machine has, and digests of nothing are left out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from forensics.models.addresses import public
from forensics.models.case import CaseView
from forensics.models.indicators import Indicator, IndicatorKind
from forensics.models.results import Confidence, ResultSeverity, ToolFinding

MOST = 300
# What more cases have than this is common: an address of a scanner, a tool of everybody's.
MOST_CASES = 25
_RANK = {severity: number for number, severity in enumerate(ResultSeverity)}
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
# IAM user guide, "IAM identifiers": unique ids of access keys and of temporary ones
_ACCESS_KEY = re.compile(r"(?<![A-Z0-9])A(?:KIA|SIA)[A-Z2-7]{16}(?![A-Z0-9])")
_DOMAIN = re.compile(r"(?=.{4,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]{2,24}")
_DOMAIN_FIELDS = frozenset({"domain", "query", "query_name", "host", "hostname", "name_asked"})
_USER_FIELDS = frozenset({"user", "username", "user_name", "account"})
_EVERYBODYS_DOMAINS = (
    "amazonaws.com", "aws.amazon.com", "amazonaws.com.cn", "compute.internal", "ec2.internal", "in-addr.arpa", "ip6.arpa", "debian.org",
    "ubuntu.com", "fedoraproject.org", "centos.org", "microsoft.com", "windowsupdate.com", "pypi.org", "npmjs.org", "github.com", "docker.io", "ntp.org",
)  # fmt: skip
# Public resolvers, as their operators name them.
_RESOLVERS = frozenset(
    {"1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "149.112.112.112", "208.67.222.222", "208.67.220.220"}
)
_USERS = frozenset(
    [
        "root",
        "admin",
        "administrator",
        "ubuntu",
        "ec2-user",
        "debian",
        "centos",
        "fedora",
        "rocky",
        "user",
        "guest",
        "test",
        "nobody",
        "daemon",
        "www-data",
        "nginx",
        "apache",
        "httpd",
        "mysql",
        "postgres",
        "redis",
        "git",
        "system",
        "sshd",
        "ssm-user",
        "systemd-network",
        "unknown",
        "none",
        "default",
        "oracle",
        "jenkins",
        "tomcat",
    ]
)
_FILES = frozenset(
    [
        "authorized_keys",
        "passwd",
        "shadow",
        "group",
        "sudoers",
        "crontab",
        "root",
        "profile",
        ".bashrc",
        ".bash_profile",
        ".bash_history",
        ".profile",
        "hosts",
        "hostname",
        "fstab",
        "auth.log",
        "syslog",
        "messages",
        "secure",
        "wtmp",
        "btmp",
        "lastlog",
        "access.log",
        "error.log",
        "audit.log",
        "resolv.conf",
        "sshd_config",
        "ld.so.preload",
        "rc.local",
        "environment",
        "motd",
        "bash",
        "sh",
        "dash",
        "python3",
        "perl",
        "curl",
        "wget",
        "nc",
        "ncat",
        "socat",
        "system.journal",
        "index.php",
        "config.php",
        "security.evtx",
        "system.evtx",
        "ntuser.dat",
        "software",
        "sam",
    ]
)
_NOTHING = frozenset({hashlib.sha256(data).hexdigest() for data in (b"", b"\n", b"\0")})
_STRONG = frozenset({IndicatorKind.HASH, IndicatorKind.ACCESS_KEY})
_MEDIUM = frozenset({IndicatorKind.ADDRESS, IndicatorKind.DOMAIN})


def indicators_of(view: CaseView) -> list[Indicator]:
    """The case's indicators, each once, those that say most first; :data:`MOST` at most."""
    own = {
        address
        for interface in (view.target.interfaces if view.target else ())
        for address in (interface.private_ip, interface.public_ip, *interface.ipv6)
    }
    found = {i.name: i for i in reversed([*_of_alerts(view), *_of_tools(view)]) if i.value not in own}
    order = list(IndicatorKind)
    return sorted(found.values(), key=lambda i: (order.index(i.kind), i.value))[:MOST]


def _of_alerts(view: CaseView) -> Iterator[Indicator]:
    for alert in view.findings:
        yield from (_made(IndicatorKind.ADDRESS, value, alert.title) for a in alert.peers if (value := _address(a)))
        yield from (_made(IndicatorKind.DOMAIN, value, alert.title) for d in alert.domains if (value := _domain(d)))


def _of_tools(view: CaseView) -> Iterator[Indicator]:
    for result in view.results:
        for finding in result.findings:
            if _RANK[finding.severity] >= _RANK[ResultSeverity.MEDIUM]:
                yield from _of_finding(finding)


def _of_finding(finding: ToolFinding) -> Iterator[Indicator]:
    grave = _RANK[finding.severity] >= _RANK[ResultSeverity.HIGH]
    values = list(_pairs(finding.data))
    for name, text in values:
        if _SHA256.fullmatch(text) and text.lower() not in _NOTHING:
            yield _made(IndicatorKind.HASH, text.lower(), finding.title)
        if address := _address(text):
            yield _made(IndicatorKind.ADDRESS, address, finding.title)
        if name in _DOMAIN_FIELDS and (domain := _domain(text)):
            yield _made(IndicatorKind.DOMAIN, domain, finding.title)
        if grave and name in _USER_FIELDS and text.lower() not in _USERS and 2 < len(text) <= 100 and ":" not in text:
            yield _made(IndicatorKind.USER, text.lower(), finding.title)
    for text in (finding.title, finding.detail, *(text for _, text in values)):
        yield from (_made(IndicatorKind.ACCESS_KEY, key, finding.title) for key in _ACCESS_KEY.findall(text))
    name = finding.source.rsplit("/", 1)[-1].lower() if finding.source.startswith("/") else ""
    if (
        grave
        and 3 < len(name) <= 200
        and name not in _FILES
        and not name.endswith((".log", ".gz", ".journal", ".evtx", ".service"))
    ):
        yield _made(IndicatorKind.FILE_NAME, name, finding.title)


def _made(kind: IndicatorKind, value: str, where: str) -> Indicator:
    return Indicator(kind=kind, value=value, where=where[:200])


def _address(text: str) -> str:
    found = public(text) if len(text) < 64 else None
    return found if found and found not in _RESOLVERS else ""


def _domain(text: str) -> str:
    name = text.strip().rstrip(".").lower()
    everybodys = any(name == own or name.endswith(f".{own}") for own in _EVERYBODYS_DOMAINS)
    return name if _DOMAIN.fullmatch(name) and not everybodys else ""


def _pairs(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """(field, text) of every text in a finding's data."""
    if isinstance(value, str):
        yield name.lower(), value
    elif isinstance(value, Mapping):
        for inner, held in value.items():
            yield from _pairs(held, str(inner))
    elif isinstance(value, list | tuple):
        for held in value:
            yield from _pairs(held, name)


def confidence_of(shared: Sequence[Indicator]) -> Confidence | None:
    """How much it says that two cases share these; None when it says nothing.

    A digest or an access key: high. An address and a name together, or two of them: medium; one of them alone: low, as addresses change
    hands and names are shared. Users and names of files: low, and from two on only.
    """
    kinds = [indicator.kind for indicator in shared]
    if any(kind in _STRONG for kind in kinds):
        return Confidence.HIGH
    medium = sum(kind in _MEDIUM for kind in kinds)
    if medium >= 2 or (medium and len(kinds) > medium):
        return Confidence.MEDIUM
    return Confidence.LOW if medium or len(kinds) >= 2 else None


def by_case(hits: Iterable[tuple[Indicator, Sequence[str]]], *, own: str) -> dict[str, list[Indicator]]:
    """Other cases with what they share; indicators that more than :data:`MOST_CASES` cases have are common and count for nothing."""
    found: dict[str, list[Indicator]] = {}
    for indicator, cases in hits:
        if len(cases) <= MOST_CASES:
            for other in cases:
                if other != own:
                    found.setdefault(other, []).append(indicator)
    return found
