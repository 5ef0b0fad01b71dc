"""What answers of IAM, Config and Systems Manager mean for a case."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from forensics.cloud_evidence.log_reading import LogReading
from forensics.cloud_evidence.state_reader import StateOrder, of_answers
from forensics.models.results import ResultSeverity

ORDER = StateOrder(account_id="333344445555", region="eu-central-1", alarm=datetime(2026, 11, 28, 14, tzinfo=UTC))


def read(part: str, answer: Any, subject: str = "web") -> LogReading:
    return of_answers(ORDER, [{"part": part, "subject": subject, "answer": answer}])


def trusting(principal: Any, **more: Any) -> dict[str, Any]:
    return {
        "AssumeRolePolicyDocument": {
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal, **more}]
        }
    }


@pytest.mark.parametrize(
    ("principal", "more", "severity"),
    [
        ({"Service": "ec2.amazonaws.com"}, {}, None),
        ({"AWS": "arn:aws:iam::333344445555:root"}, {}, None),
        ({"AWS": ["arn:aws:iam::999988887777:root"]}, {}, ResultSeverity.LOW),
        ({"AWS": "999988887777"}, {}, ResultSeverity.LOW),
        ("*", {}, ResultSeverity.HIGH),
        ({"AWS": "*"}, {"Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, ResultSeverity.LOW),
    ],
)
def test_who_may_assume_the_role(principal: Any, more: dict[str, Any], severity: ResultSeverity | None) -> None:
    found = read("iam-role", trusting(principal, **more)).findings
    assert [f.severity for f in found] == ([severity] if severity else [])


def test_last_use_in_another_region_is_found_with_its_time() -> None:
    last = {"LastUsedDate": "2026-11-28T13:00:00+00:00", "Region": "us-west-2"}
    (found,) = read("iam-role", {"RoleLastUsed": last}).findings
    assert (
        "us-west-2" in found.title
        and found.time == datetime(2026, 11, 28, 13, tzinfo=UTC)
        and found.technique == "T1535"
    )
    assert not read("iam-role", {"RoleLastUsed": last | {"Region": "eu-central-1"}}).findings


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ({"Effect": "Allow", "Action": "*", "Resource": "*"}, True),
        ({"Effect": "Allow", "Action": ["s3:*", "*"], "Resource": ["*"]}, True),
        ({"Effect": "Deny", "Action": "*", "Resource": "*"}, False),
        ({"Effect": "Allow", "Action": "s3:*", "Resource": "*"}, False),
    ],
)
def test_rights_to_everything(statement: dict[str, Any], found: bool) -> None:
    reading = read("iam-policy", {"PolicyName": "p", "Document": {"Statement": statement}})
    assert bool([f for f in reading.findings if "may do everything" in f.title]) is found


def test_history_sessions_and_services_are_on_the_timeline() -> None:
    reading = of_answers(
        ORDER,
        [
            {"part": "config", "subject": "sg-1", "answer": {"configurationItemCaptureTime": "2026-11-28T13:30:00+00:00", "configurationItemStatus": "OK", "resourceType": "AWS::EC2::SecurityGroup", "relatedEvents": ["a1"]}},
            {"part": "ssm-session", "subject": "i-1", "answer": {"SessionId": "bob-1", "Owner": "arn:aws:iam::333344445555:user/bob", "StartDate": "2026-11-28T13:40:00+00:00"}},
            {"part": "iam-services", "subject": "web", "answer": [{"ServiceNamespace": "s3", "LastAuthenticated": "2026-11-28T15:00:00+00:00"}, {"ServiceNamespace": "kms"}]},
        ],
    )  # fmt: skip
    said = [e.what for e in reading.timeline]
    assert "CloudTrail a1" in said[0] and "which is open" in said[1] and "last called s3" in said[2]
    assert reading.counts["answers"] == 3


@pytest.mark.parametrize(
    "answer",
    [
        None,
        5,
        [],
        {"AssumeRolePolicyDocument": "x", "RoleLastUsed": 4},
        {"Document": {"Statement": [1]}},
        {"StartDate": "soon"},
    ],
)
@pytest.mark.parametrize("part", ["iam-role", "iam-policy", "iam-services", "config", "unknown"])
def test_odd_answers_say_nothing(part: str, answer: Any) -> None:
    reading = read(part, answer)
    assert reading.findings == () and reading.timeline == ()
