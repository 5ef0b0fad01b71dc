"""Lines of VPC flow logs by their header: the documented examples, each version's fields, and what is none."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forensics.cloud_evidence.flow_lines import day_prefixes, file_name, flow, header

V2 = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
# The examples of *Flow log record examples* (Amazon VPC user guide).
SSH = (
    "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK"
)
RDP = (
    "2 123456789010 eni-1235b8ca123456789 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK"
)
NODATA = "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA"
SKIPDATA = "2 123456789010 eni-11111111aaaaaaaaa - - - - - - - 1431280876 1431280934 - SKIPDATA"
IPV6 = "2 123456789010 eni-1235b8ca123456789 2001:db8:1234:a100:8d6e:3477:df66:f105 2001:db8:1234:a102:3304:8879:34cf:4071 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK"


def test_the_documented_examples_are_read() -> None:
    fields = header(V2)
    assert fields is not None
    ssh, rdp, six = flow(fields, SSH), flow(fields, RDP), flow(fields, IPV6)
    assert ssh and rdp and six
    assert (ssh.source, ssh.target, ssh.target_port, ssh.size, ssh.accepted) == (
        "172.31.16.139",
        "172.31.16.21",
        22,
        4249,
        True,
    )
    assert ssh.begin == datetime(2014, 12, 14, 4, 6, 50, tzinfo=UTC) and not rdp.accepted
    assert six.source == "2001:db8:1234:a100:8d6e:3477:df66:f105"


@pytest.mark.parametrize("line", [NODATA, SKIPDATA, SSH + " more", "", "2 x", SSH.replace("1418530010", "9" * 30)])
def test_what_has_no_flow_is_none(line: str) -> None:
    fields = header(V2)
    assert fields is not None and flow(fields, line) is None


def test_any_order_of_fields_is_read_and_the_packet_s_own_addresses_count() -> None:
    """*Traffic through a NAT gateway*: the packet's source is behind the interface's."""
    fields = header("instance-id interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr start end bytes")
    assert fields is not None
    found = flow(fields, "- eni-1235b8ca123456789 10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5 1620140661 1620140721 900")
    assert found is not None and (found.source, found.target, found.size, found.target_port) == (
        "10.0.1.5",
        "203.0.113.5",
        900,
        0,
    )


@pytest.mark.parametrize(
    ("line", "is_header"),
    [
        (V2, True),
        (
            f"{V2} vpc-id subnet-id instance-id tcp-flags type pkt-srcaddr pkt-dstaddr region az-id sublocation-type sublocation-id",
            True,
        ),
        (f"{V2} ecs-cluster-arn ecs-task-id reject-reason flow-direction traffic-path", True),
        ("version account_id interface_id srcaddr dstaddr start end", True),
        ("version srcaddr dstaddr", False),
        (SSH, False),
        (f"{V2} shoe-size", False),
        ("PAR1", False),
    ],
)
def test_a_header_names_known_fields_and_those_that_are_needed(line: str, is_header: bool) -> None:
    assert (header(line) is not None) is is_header


def test_names_of_files_are_those_of_the_guide() -> None:
    """*Flow log files*: with the guide's own example, and Hive-compatible folders."""
    name = file_name(
        "AWSLogs/123456789012/vpcflowlogs/us-east-1/2018/06/20/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20180620T1620Z_fe123456.log.gz"
    )
    assert name is not None and name.text
    assert (name.account_id, name.region, name.log_id) == ("123456789012", "us-east-1", "fl-1234abcd")
    parquet = file_name("x/123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20180620T1620Z_fe123456.log.parquet")
    assert parquet is not None and not parquet.text
    assert file_name("AWSLogs/123456789012/vpcflowlogs/us-east-1/x.log.gz") is None
    begin, end = datetime(2026, 1, 31, 23, tzinfo=UTC), datetime(2026, 2, 1, 1, tzinfo=UTC)
    plain = list(day_prefixes("flows/", "123456789012", "us-east-1", hive=False, begin=begin, end=end))
    assert plain == [f"flows/AWSLogs/123456789012/vpcflowlogs/us-east-1/2026/{d}/" for d in ("01/31", "02/01")]
    hive = list(day_prefixes("", "123456789012", "us-east-1", hive=True, begin=end, end=end))
    assert hive == [
        "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1/year=2026/month=02/day=01/"
    ]
