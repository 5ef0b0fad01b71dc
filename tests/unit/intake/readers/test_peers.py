"""The other end of what a finding tells, in each format."""

from __future__ import annotations

import pytest

from forensics.intake.readers.peers import MOST, domains_of, peers_of

REMOTE = {"remoteIpDetails": {"ipAddressV4": "198.51.100.7", "country": {"countryName": "Nowhere"}}}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        # https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html
        (
            {"service": {"action": {"networkConnectionAction": REMOTE, "localIpDetails": {"ipAddressV4": "10.0.0.5"}}}},
            ("198.51.100.7",),
        ),
        # a port probe and attack sequences have lists of them
        ({"service": {"action": {"portProbeAction": {"portProbeDetails": [REMOTE, REMOTE]}}}}, ("198.51.100.7",)),
        # https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Action.html
        (
            {"Action": {"NetworkConnectionAction": {"RemoteIpDetails": {"IpAddressV4": "203.0.113.9"}}}},
            ("203.0.113.9",),
        ),
        (
            {
                "ProductFields": {
                    "aws/guardduty/service/action/networkConnectionAction/remoteIpDetails/ipAddressV4": "203.0.113.9"
                }
            },
            ("203.0.113.9",),
        ),
        # https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_Network.html
        ({"Network": {"SourceIpV4": "10.0.0.5", "DestinationIpV6": "2001:db8::7"}}, ("2001:db8::7",)),
        # https://schema.ocsf.io/1.5.0/objects/evidences
        ({"evidences": [{"dst_endpoint": {"ip": "192.0.2.1"}, "src_endpoint": {"ip": "10.1.1.1"}}]}, ("192.0.2.1",)),
        ({"Resources": [{"Details": {"AwsEc2Instance": {"IpV4Addresses": ["198.51.100.200"]}}}]}, ()),
        (
            {
                "service": {
                    "action": {"networkConnectionAction": {"remoteIpDetails": {"ipAddressV4": "not an address"}}}
                }
            },
            (),
        ),
        (None, ()),
    ],
)
def test_each_format_names_its_peers_and_nothing_local(item: object, expected: tuple[str, ...]) -> None:
    assert peers_of(item) == expected


def test_there_is_an_end_to_it() -> None:
    many = [{"remoteIpDetails": {"ipAddressV4": f"198.51.100.{n}"}} for n in range(200)]
    assert len(peers_of(many)) == MOST
    deep: object = REMOTE
    for _ in range(100):
        deep = {"a": deep}
    assert peers_of(deep) == ()


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        # https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html
        (
            {"service": {"action": {"dnsRequestAction": {"domain": "Xmr.Pool.Example.", "protocol": "UDP"}}}},
            ("xmr.pool.example",),
        ),
        # https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_DnsRequestAction.html
        ({"Action": {"DnsRequestAction": {"Domain": "c2.example", "Blocked": False}}}, ("c2.example",)),
        ({"ProductFields": {"aws/guardduty/service/action/dnsRequestAction/domain": "c2.example"}}, ("c2.example",)),
        ({"Network": {"DestinationDomain": "c2.example"}}, ("c2.example",)),
        # https://schema.ocsf.io/1.5.0/objects/dns_query
        ({"evidences": [{"query": {"hostname": "c2.example", "type": "A"}}]}, ("c2.example",)),
        ({"Action": {"DnsRequestAction": {"Domain": "<b>c2</b>.example"}}}, ()),
        ({"Action": {"DnsRequestAction": {"Domain": "198.51.100.7"}}}, ()),
        ({"Resources": [{"Details": {"Domain": "shop.example"}}]}, ()),
    ],
)
def test_each_format_names_its_dns_names(item: object, expected: tuple[str, ...]) -> None:
    assert domains_of(item) == expected
