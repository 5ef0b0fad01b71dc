"""A case's records are found in log files: all of them, once, by what they give out too; broken files are named."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from typing import Any

import pytest

from forensics.cloud_evidence.followed import MOST, WHOEVER, Followed
from forensics.cloud_evidence.trail_filter import SelectOrder
from forensics.cloud_evidence.trail_selection import PASSES, LogObject, Spool, search
from forensics.confined import MIB
from lab.evidence.trail_records import Json, TrailFiles, log_file
from lab.scenarios.cloud_check import broken, followed
from lab.scenarios.trail_stories import ACCOUNT, ALARM, ELSEWHERE

A = ACCOUNT


def found(spool: Spool) -> list[dict[str, Any]]:
    """The records of a spool."""
    return [json.loads(line) for line in gzip.decompress(b"".join(spool.chunks())).splitlines()]


def look(*objects: LogObject, following: Followed | None = None) -> Spool:
    order = SelectOrder(
        account_id=A.account_id,
        begin=ALARM - timedelta(days=2),
        end=ALARM + timedelta(days=1),
        followed=following or followed(),
    )
    return search(order, lambda _order: objects)


def packed(name: str, *records: Json) -> LogObject:
    return LogObject(name, gzip.compress(log_file(records), mtime=0))


def test_records_are_kept_as_cloudtrail_wrote_them() -> None:
    mine = A.call(ALARM, "s3:GetObject", A.instance(userAgent="ä \u202e"), {"bucketName": "b"})
    other = A.call(ALARM, "s3:GetObject", A.person("alice"), {"bucketName": "b"})
    raw = log_file([other, mine])
    spool = look(LogObject("a", gzip.compress(raw)))
    (line,) = gzip.decompress(b"".join(spool.chunks())).splitlines()
    assert line in raw
    assert spool.reports["a"].selected == 1 and spool.sources["a"]["bytes"] == len(gzip.compress(raw))


def test_a_record_that_is_delivered_twice_is_kept_once() -> None:
    record = A.call(ALARM, "s3:ListBuckets", A.instance())
    assert len(found(look(packed("a", record), packed("b", record)))) == 1


def test_calls_outside_of_the_window_are_left_out() -> None:
    early = A.call(ALARM - timedelta(days=3), "s3:ListBuckets", A.instance())
    assert found(look(packed("a", early))) == []


def test_a_key_that_was_given_out_is_followed_in_files_that_were_read_before() -> None:
    """Regions are read one after another: the key's calls may stand in a file before the one that made it."""
    key = "ASIACHAINED000EXAMPLE"
    used = A.call(
        ALARM,
        "s3:ListBuckets",
        {"userIdentity": A.assumed("admin", "x", key=key), "sourceIPAddress": ELSEWHERE},
        awsRegion="ap-south-1",
    )
    given = A.call(
        ALARM - timedelta(minutes=5),
        "sts:AssumeRole",
        A.instance(),
        {"roleArn": "arn"},
        {"credentials": {"accessKeyId": key}},
    )
    spool = look(packed("a", used), packed("b", given))
    assert {r["eventName"] for r in found(spool)} == {"ListBuckets", "AssumeRole"}
    assert key in spool.followed.ids and spool.passes == 2


def test_a_refused_call_gives_nothing_to_follow() -> None:
    refused = A.call(ALARM, "iam:CreateUser", A.instance(), {"userName": "admin"}, errorCode="AccessDenied")
    assert look(packed("a", refused)).followed.names == ()


def test_a_chain_longer_than_the_passes_is_said() -> None:
    keys = [f"ASIACHAIN{n}00000EXAMPLE" for n in range(PASSES + 1)]
    chain = [A.call(ALARM, "sts:AssumeRole", A.instance(), {"roleArn": "r"}, {"credentials": {"accessKeyId": keys[0]}})]
    for n, key in enumerate(keys[1:]):
        who = {"userIdentity": A.assumed("r", "s", key=keys[n]), "sourceIPAddress": "192.0.2.1"}
        chain.append(A.call(ALARM, "sts:AssumeRole", who, {"roleArn": f"r{n}"}, {"credentials": {"accessKeyId": key}}))
    spool = look(*(packed(str(n), record) for n, record in enumerate(reversed(chain))))
    assert spool.unfinished and spool.passes == PASSES


def test_calls_that_blind_the_account_are_found_whoever_makes_them() -> None:
    stopped = A.call(ALARM, "cloudtrail:StopLogging", A.person("mallory"), {"name": "t"})
    assert [r["eventName"] for r in found(look(packed("a", stopped)))] == ["StopLogging"]


@pytest.mark.parametrize("name", sorted(WHOEVER))
def test_each_call_that_counts_whoever_makes_it_is_found_by_the_fast_look_too(name: str) -> None:
    services = {
        "FlowLogs": "ec2",
        "Detector": "guardduty",
        "Filter": "guardduty",
        "Account": "guardduty",
        "Members": "guardduty",
        "Hub": "securityhub",
    }
    services |= {
        "Standards": "securityhub",
        "Recorder": "config",
        "Channel": "config",
        "QueryLogConfig": "route53resolver",
        "Organization": "organizations",
        "ConsoleAccess": "ec2",
        "PublicAccess": "ec2",
    }
    service = next((s for end, s in services.items() if name.endswith(end)), "cloudtrail")
    call = A.call(ALARM, f"{service}:{name}", A.person("mallory"), {"name": "t"})
    assert [r["eventName"] for r in found(look(packed("a", call)))] == [name]


def test_other_instances_of_the_same_role_are_not_the_case_s() -> None:
    other = A.call(
        ALARM,
        "s3:ListBuckets",
        {"userIdentity": A.assumed(A.role, "i-0fedcba9876543210"), "sourceIPAddress": "192.0.2.1"},
    )
    changed = A.call(ALARM, "iam:PutRolePolicy", A.person("alice"), {"roleName": A.role, "policyName": "p"})
    assert [r["eventName"] for r in found(look(packed("a", other, changed)))] == ["PutRolePolicy"]


def test_broken_files_are_named_and_the_others_read() -> None:
    cases = {name: case for name, case in broken().items() if name != "bomb.json.gz"}
    record = A.call(ALARM, "s3:ListBuckets", A.instance(address=ELSEWHERE))
    spool = look(*(LogObject(name, body) for name, (body, _) in cases.items()), packed("good", record))
    for name, (_, word) in cases.items():
        assert word in spool.reports[name].problem
    assert spool.reports["foreign.json.gz"].foreign == 1
    assert record["eventID"] in {r["eventID"] for r in found(spool)}


def test_a_bomb_is_read_to_its_limit_only() -> None:
    (body, word) = broken()["bomb.json.gz"]
    assert len(body) < 2 * MIB
    report = look(LogObject("bomb", body)).reports["bomb"]
    assert word in report.problem and report.plain_bytes <= 256 * MIB and report.selected == 1


def test_deep_json_ends_its_object_only() -> None:
    deep = b'{"Records":[{"x":"' + A.instance_id.encode() + b'","y":' + b"[" * 100_000 + b"]" * 100_000 + b"}]}"
    spool = look(LogObject("deep", deep, gzip=False), packed("good", A.call(ALARM, "s3:ListBuckets", A.instance())))
    assert "cannot be read" in spool.reports["deep"].problem and len(found(spool)) == 1


def test_what_is_followed_has_a_limit_and_takes_ids_only() -> None:
    grown = followed().with_more(ids=[f"snap-0{n:016x}" for n in range(2 * MOST)], names=["a b", "ok", "x" * 200])
    assert len(grown.ids) == MOST and grown.names == ("ok",)
    assert followed().with_more(ids=["", "web", ".*", "us-east-1"]).ids == followed().ids


@pytest.mark.parametrize("names", [(), ("mallory",)])
def test_a_pattern_without_anything_to_find_finds_nothing(names: tuple[str, ...]) -> None:
    empty = Followed(instance_id=A.instance_id, names=names)
    assert empty.pattern(blinding=False).search(b'{"eventName": "StopLogging", "userName": "x"}') is None


def test_files_are_named_as_cloudtrail_names_them() -> None:
    files = TrailFiles(A.account_id, organization="o-examplelab1")
    files.write([A.call(ALARM, "s3:ListBuckets", A.instance())])
    (key,) = files.files
    assert key.startswith(
        f"AWSLogs/o-examplelab1/{A.account_id}/CloudTrail/eu-central-1/2026/11/28/{A.account_id}_CloudTrail_eu-central-1_20261128T1400Z_"
    )
