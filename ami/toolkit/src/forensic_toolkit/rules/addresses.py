"""Which network addresses are foreign: all that are not reserved for local use.

:mod:`ipaddress` counts the documentation ranges as private; in evidence they are as foreign as any other.
"""

from __future__ import annotations

import ipaddress

_LOCAL = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/3",
        "::/127",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    )
]


def is_foreign(text: str | None) -> bool:
    """Whether ``text`` is a public address; False for local ones and for text that is not an address."""
    try:
        address = ipaddress.ip_address((text or "").split("%", 1)[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not any(address.version == network.version and address in network for network in _LOCAL)
