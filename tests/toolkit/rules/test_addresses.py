"""Foreign addresses, with the first and last addresses of IANA's special-purpose ranges (RFC 6890 and its registries)."""

from __future__ import annotations

import pytest

from forensic_toolkit.rules.addresses import is_foreign


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255", "127.0.0.1", "169.254.169.254"),
        *("172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255", "224.0.0.1", "255.255.255.255"),
        *("::", "::1", "fc00::1", "fdff::1", "fe80::1%eth0", "ff02::1", "::ffff:10.0.0.1"),
    ],
)
def test_special_purpose_addresses_are_local(address: str) -> None:
    assert is_foreign(address) is False


@pytest.mark.parametrize(
    "address",
    [
        *(
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
        ),
        *("8.8.8.8", "203.0.113.66", "198.51.100.7", "2600::1", "2001:db8::1", "::ffff:8.8.8.8"),
    ],
)
def test_the_neighbours_of_those_ranges_and_documentation_ranges_are_foreign(address: str) -> None:
    assert is_foreign(address) is True


@pytest.mark.parametrize("text", [None, "", "N/A", "10.0.0", "web.example.com", "1.2.3.4.5"])
def test_text_that_is_not_an_address_is_not_foreign(text: str | None) -> None:
    assert is_foreign(text) is False
