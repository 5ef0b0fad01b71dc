"""The public addresses at the other end that a finding names, and the DNS names, whatever its format.

GuardDuty: ``service.action.*.remoteIpDetails.ipAddressV4`` (and V6); the same as ASFF has them, nested under ``Action`` or
flat in ``ProductFields``; ASFF ``Network``: ``DestinationIpV4`` and ``SourceIpV4`` (and V6); OCSF: ``dst_endpoint.ip`` and
``src_endpoint.ip``.

Names: GuardDuty and ASFF ``dnsRequestAction.domain`` (nested or flat), ASFF ``Network.DestinationDomain``, OCSF ``query.hostname``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from forensics.models.addresses import public

MOST = 20
_DEPTH = 16
# RFC 1035's letters, digits and hyphens, and the underscore that resolvers let pass; at least one dot
_DOMAIN = re.compile(r"(?=.{4,253}$)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")
_VALUES = 20_000  # of one finding; an event has at most 256 KiB


def peers_of(item: object) -> tuple[str, ...]:
    """The addresses, each once, in the finding's order; none that is reserved for local use."""
    found: dict[str, None] = {}
    for number, (path, text) in enumerate(_texts(item, path="", depth=0)):
        if number >= _VALUES or len(found) >= MOST:
            break
        if _of_peer(path) and (address := public(text)):
            found[address] = None
    return tuple(found)


def domains_of(item: object) -> tuple[str, ...]:
    """The names, each once, in lower case and without the dot at their end."""
    found: dict[str, None] = {}
    for number, (path, text) in enumerate(_texts(item, path="", depth=0)):
        if number >= _VALUES or len(found) >= MOST:
            break
        if _of_name(path) and (name := domain(text)):
            found[name] = None
    return tuple(found)


def domain(text: str) -> str | None:
    """A DNS name in lower case and without the dot at its end; None for what is none."""
    name = text.strip().rstrip(".").lower()
    return name if _DOMAIN.fullmatch(name) and not name.replace(".", "").isdigit() else None


def _of_name(path: str) -> bool:
    return path.endswith(("/dnsrequestaction/domain", "/network/destinationdomain", "/query/hostname"))


def _texts(item: object, *, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > _DEPTH:
        return
    if isinstance(item, str):
        yield path, item
    elif isinstance(item, dict):
        for name, value in item.items():
            yield from _texts(value, path=f"{path}/{str(name).lower()}", depth=depth + 1)
    elif isinstance(item, list):
        for value in item:
            yield from _texts(value, path=path, depth=depth + 1)


def _of_peer(path: str) -> bool:
    leaf = path.rsplit("/", 1)[-1]
    if leaf in {"ipaddressv4", "ipaddressv6"}:
        return "remoteip" in path
    if leaf in {"destinationipv4", "destinationipv6", "sourceipv4", "sourceipv6"}:
        return path.rsplit("/", 2)[-2] == "network"
    return path.endswith(("/dst_endpoint/ip", "/src_endpoint/ip"))
