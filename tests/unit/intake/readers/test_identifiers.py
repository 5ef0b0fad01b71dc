"""Every identifier in an event is checked: accounts, Regions, ARNs, instances, findings."""

from __future__ import annotations

import pytest

from forensics.intake.readers.fields import QuarantineError
from forensics.intake.readers.identifiers import (
    check_account,
    check_finding_id,
    check_partition,
    check_region,
    finding_key,
    guardduty_id,
    instance_of_session,
    is_instance,
    parse_arn,
    parse_instance,
    partition_of,
    underlying_id,
)

INSTANCE = "i-0123456789abcdef0"
ARN = f"arn:aws:ec2:eu-central-1:333344445555:instance/{INSTANCE}"
GUARDDUTY = "arn:aws:guardduty:eu-central-1:333344445555:detector/{}/finding/f1"


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-central-1", "aws"),
        ("cn-north-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
        ("mars-north-1", None),
        ("eu-central-1\n", None),
        ("EU-CENTRAL-1", None),
    ],
)
def test_a_region_belongs_to_one_partition(region: str, partition: str | None) -> None:
    assert partition_of(region) == partition


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (check_account, "333344445555", ["33334444555", "٣٣٣٣٤٤٤٤٥٥٥٥", 333344445555, None, "333344445555\n"]),
        (check_region, "eu-west-1", ["nowhere", "", None]),
        (check_partition, "aws-cn", ["azure", None]),
        (check_finding_id, "f-1", ["", " ", "a\nb", "x" * 2049, 7]),
    ],
)
def test_what_cannot_be_right_is_refused_by_the_field(check, good, bad) -> None:
    assert check(good, field="it") == good
    for value in bad:
        with pytest.raises(QuarantineError, match=r"^it="):
            check(value, field="it")


def test_an_arn_is_split_and_one_that_cannot_be_right_is_refused() -> None:
    arn = parse_arn(ARN, field="it")
    assert arn is not None
    assert (arn.partition, arn.service, arn.region, arn.account, arn.resource) == (
        "aws",
        "ec2",
        "eu-central-1",
        "333344445555",
        f"instance/{INSTANCE}",
    )
    assert parse_arn("i-1", field="it") is parse_arn(None, field="it") is None
    for wrong in ("arn:aws:ec2", ARN.replace("arn:aws:", "arn:aws-cn:"), ARN.replace("333344445555", "3333")):
        with pytest.raises(QuarantineError):
            parse_arn(wrong, field="it")


@pytest.mark.parametrize(
    ("value", "is_one"), [(INSTANCE, True), ("i-12345678", True), (ARN, True), ("i-1", False), ("vol-12345678", False)]
)
def test_an_instance_is_recognised_by_id_or_arn(value: str, is_one: bool) -> None:
    assert is_instance(value) is is_one


def test_an_arn_says_where_the_instance_is() -> None:
    found = parse_instance(ARN, field="it", vpc_id="vpc-12345678")
    assert (found.instance_id, found.account, found.region, found.partition, found.vpc_id) == (
        INSTANCE,
        "333344445555",
        "eu-central-1",
        "aws",
        "vpc-12345678",
    )
    bare = parse_instance(INSTANCE, field="it", region="eu-west-1", vpc_id="vpc-!")
    assert (bare.account, bare.region, bare.vpc_id) == (None, "eu-west-1", None)


@pytest.mark.parametrize("stated", [{"account": "111122223333"}, {"region": "eu-west-1"}, {"partition": "aws-cn"}])
def test_an_arn_that_contradicts_its_resource_is_refused(stated: dict[str, str]) -> None:
    with pytest.raises(QuarantineError, match="contradicts the resource's"):
        parse_instance(ARN, field="it", **stated)


@pytest.mark.parametrize(
    ("principal", "instance"),
    [
        (f"AROAEXAMPLE:{INSTANCE}", INSTANCE),
        (f"AIDAEXAMPLE:{INSTANCE}", None),
        ("AROAEXAMPLE:alice", None),
        (INSTANCE, None),
        (None, None),
    ],
)
def test_a_roles_session_names_its_instance(principal: object, instance: str | None) -> None:
    assert instance_of_session(principal) == instance


def test_guardduty_findings_have_one_id_whatever_detector_sent_them() -> None:
    of_member, of_administrator = GUARDDUTY.format("a"), GUARDDUTY.format("b").replace("333344445555", "111122223333")
    assert underlying_id(of_member) == underlying_id(of_administrator) == "guardduty/f1"
    assert underlying_id("manual/1") == "manual/1"
    assert [guardduty_id(i) for i in (of_member, "manual/1", "f1")] == ["f1", None, None]


def test_a_key_tells_finding_account_region_and_instance_apart() -> None:
    place = {"account": "333344445555", "region": "eu-central-1", "instance_id": INSTANCE}
    key = finding_key(GUARDDUTY.format("a"), **place)
    assert len(key) == 32 and key == finding_key(GUARDDUTY.format("b"), **place)
    changed = [{"account": "111122223333"}, {"region": "eu-west-1"}, {"instance_id": "i-12345678"}]
    others = {finding_key(GUARDDUTY.format("a"), **{**place, **change}) for change in changed}
    assert len(others | {key}) == 4
