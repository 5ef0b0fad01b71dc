"""Records and files of the Resolver's query logs, as the developer guide gives them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forensics.cloud_evidence.query_lines import day_prefixes, file_name, query

# Route 53 developer guide, *Route 53 VPC Resolver query log example*
EXAMPLE = (
    '{"srcaddr":"4.5.64.102","vpc_id":"vpc-7example","answers":[{"Rdata":"203.0.113.9","Type":"PTR","Class":"IN"}],'
    '"firewall_rule_group_id":"rslvr-frg-01234567890abcdef","firewall_rule_action":"BLOCK","query_name":"15.3.4.32.in-addr.arpa.",'
    '"firewall_domain_list_id":"rslvr-fdl-01234567890abcdef","query_class":"IN","srcids":{"instance":"i-0d15cd0d3example"},'
    '"rcode":"NOERROR","query_type":"PTR","transport":"UDP","version":"1.100000","account_id":"111122223333","srcport":"56067",'
    '"query_timestamp":"2021-02-04T17:51:55Z","region":"us-east-1"}'
)


def test_the_guide_s_example_is_read() -> None:
    found = query(EXAMPLE)
    assert found is not None
    assert (found.instance, found.source, found.account) == ("i-0d15cd0d3example", "4.5.64.102", "111122223333")
    assert found.name == "15.3.4.32.in-addr.arpa" and found.answers == ("203.0.113.9",) and found.firewall == "BLOCK"
    assert found.time == datetime(2021, 2, 4, 17, 51, 55, tzinfo=UTC) and not found.failed


def test_the_guide_s_other_form_of_time_is_read() -> None:
    found = query(EXAMPLE.replace("2021-02-04T17:51:55Z", "2017-03-16T19:20:177Z".replace("20:177", "20:17:177")))
    assert found is not None and found.time == datetime(2017, 3, 16, 19, 20, 17, tzinfo=UTC)


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", '{"query_name": 5}', '{"query_name":"a.b."}', '{"query_name":"a.b.","query_timestamp":"soon"}', "[" * 100_000,
     '{"query_name":"a.b.","query_timestamp":"2021-13-41T17:51:55Z"}'],
)  # fmt: skip
def test_what_is_no_record_is_none(line: str) -> None:
    assert query(line) is None


def test_members_of_another_type_are_empty() -> None:
    found = query(
        '{"query_name":"A.Example.","query_timestamp":"2021-02-04T17:51:55Z","srcids":[1],"answers":[1,{"Rdata":2}],"srcaddr":{}}'
    )
    assert found is not None and found.name == "a.example"
    assert (found.instance, found.answers, found.source) == ("", (), "")


def test_files_are_known_by_their_names() -> None:
    vpc, account = "vpc-0123456789abcdef0", "333344445555"
    begin, end = datetime(2026, 7, 30, 23, tzinfo=UTC), datetime(2026, 7, 31, 1, tzinfo=UTC)
    first, second = day_prefixes("dns/", account, vpc, begin=begin, end=end)
    assert first == f"dns/AWSLogs/{account}/vpcdnsquerylogs/{vpc}/2026/07/30/" and second.endswith("/2026/07/31/")
    found = file_name(f"{first}{vpc}_vpcdnsquerylogs_{account}_20260730T2310Z_71584702.log.gz")
    assert found is not None and (found.vpc, found.account_id) == (vpc, account)
    assert found.time == datetime(2026, 7, 30, 23, 10, tzinfo=UTC)
    assert file_name(f"{first}x.log.gz") is None
    assert file_name(f"{first}{vpc}_vpcdnsquerylogs_{account}_20261330T2310Z_71584702.log.gz") is None
