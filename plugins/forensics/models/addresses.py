"""Which network addresses are public: all that are not reserved for local use (IANA's special-purpose registries). Pure.

:mod:`ipaddress` counts the documentation ranges as private; in findings and evidence they are as foreign as any other.
"""

from __future__ import annotations

import ipaddress

_LOCAL = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
            "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10", "ff00::/8",
        ),
    )
)  # fmt: skip


def public(text: str) -> str | None:
    """The address in its usual form, an IPv4 one without the IPv6 around it; None for a local one and for what is no address."""
    try:
        found = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    local = any(found.version == network.version and found in network for network in _LOCAL)
    return None if local else str(found)
