"""Names of CloudTrail's files, as its user guide gives them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forensics.cloud_evidence.trail_keys import TrailPlace, log_name, within

ACCOUNT = "123456789012"
# *Finding your CloudTrail log files*: the guide's own examples, with an account for the account's id.
SINGLE = f"prefix_name/AWSLogs/{ACCOUNT}/CloudTrail/us-east-2/2026/07/18/{ACCOUNT}_CloudTrail_us-east-2_20260718T0610Z_Mu0KsOhtH1ar15ZZ.json.gz"
ORGANIZATION = f"AWSLogs/o-exampleorgid/{ACCOUNT}/CloudTrail/us-east-2/2026/07/18/{ACCOUNT}_CloudTrail_us-east-2_20260718T0610Z_Mu0KsOhtH1ar15ZZ.json.gz"


@pytest.mark.parametrize("key", [SINGLE, ORGANIZATION])
def test_a_log_file_says_whose_it_is_and_when_it_came(key: str) -> None:
    name = log_name(key)
    assert name is not None
    assert (name.account_id, name.region, name.delivered) == (
        ACCOUNT,
        "us-east-2",
        datetime(2026, 7, 18, 6, 10, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    "key",
    [
        SINGLE.replace("_CloudTrail_", "_CloudTrail-Digest_").replace("/CloudTrail/", "/CloudTrail-Digest/"),
        SINGLE.replace(".json.gz", ".json"),
        SINGLE.replace("20260718T0610Z", "20261318T0610Z"),
        SINGLE.replace(f"/{ACCOUNT}_", "/999988887777_"),
        "AWSLogs/x.json.gz",
    ],
)
def test_any_other_key_is_none(key: str) -> None:
    assert log_name(key) is None


def test_a_file_that_came_late_may_hold_calls_of_the_window() -> None:
    begin, end = datetime(2026, 7, 18, 5, 0, tzinfo=UTC), datetime(2026, 7, 18, 5, 30, tzinfo=UTC)
    assert within(SINGLE, begin=begin, end=end)
    assert not within(SINGLE, begin=begin, end=datetime(2026, 7, 18, 5, 9, tzinfo=UTC))
    assert not within(SINGLE, begin=datetime(2026, 7, 18, 6, 11, tzinfo=UTC), end=datetime(2026, 7, 19, tzinfo=UTC))


def test_prefixes_are_those_of_the_trail_and_one_for_each_day() -> None:
    place = TrailPlace(arn="a", bucket="b", prefix="logs/", organization="o-exampleorgid")
    begin, end = datetime(2026, 7, 30, 20, 0, tzinfo=UTC), datetime(2026, 7, 31, 23, 30, tzinfo=UTC)
    root = f"logs/AWSLogs/o-exampleorgid/{ACCOUNT}"
    assert place.regions_prefix(ACCOUNT) == f"{root}/CloudTrail/"
    days = list(place.day_prefixes(ACCOUNT, "eu-west-1", begin=begin, end=end))
    assert days == [f"{root}/CloudTrail/eu-west-1/2026/{d}/" for d in ("07/30", "07/31", "08/01")]
    digests = list(place.digest_prefixes(ACCOUNT, "eu-west-1", begin=begin, end=begin))
    assert digests == [f"{root}/CloudTrail-Digest/eu-west-1/2026/07/30/"]
    assert TrailPlace(arn="a", bucket="b").regions_prefix(ACCOUNT) == f"AWSLogs/{ACCOUNT}/CloudTrail/"
