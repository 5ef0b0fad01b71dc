"""CloudTrail's records in the forms that AWS documents, and in those that nobody promised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from forensics.cloud_evidence.trail_record import TrailRecord, items_at, text_at, texts

# The example of *CloudTrail userIdentity element* (AWS CloudTrail user guide), with the fields of *CloudTrail record contents*.
DOCUMENTED: dict[str, Any] = {
    "eventVersion": "1.08",
    "userIdentity": {
        "type": "AssumedRole", "principalId": "AROAIDPPEZS35WEXAMPLE:AssumedRoleSessionName",
        "arn": "arn:aws:sts::123456789012:assumed-role/RoleToBeAssumed/MySessionName", "accountId": "123456789012", "accessKeyId": "",
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role", "principalId": "AROAIDPPEZS35WEXAMPLE", "arn": "arn:aws:iam::123456789012:role/RoleToBeAssumed",
                "accountId": "123456789012", "userName": "RoleToBeAssumed",
            },
            "attributes": {"mfaAuthenticated": "false", "creationDate": "20131102T010628Z"},
        },
    },
    "eventTime": "2023-07-19T21:17:28Z", "eventSource": "ec2.amazonaws.com", "eventName": "StartInstances", "awsRegion": "us-east-1",
    "sourceIPAddress": "192.0.2.0", "userAgent": "aws-cli/2.13.5", "requestParameters": {"instancesSet": {"items": [{"instanceId": "i-EXAMPLE56126103cb"}]}},
    "responseElements": None, "requestID": "e4336db0-149f-4a6b-844d-EXAMPLEb9d16", "eventID": "e755e09c-42f9-4c5c-9064-EXAMPLE228c7",
    "readOnly": False, "eventType": "AwsApiCall", "managementEvent": True, "recipientAccountId": "123456789012", "eventCategory": "Management",
}  # fmt: skip


def test_the_documented_example_is_read() -> None:
    record = TrailRecord.model_validate_json(json.dumps(DOCUMENTED))
    assert record.call == "ec2:StartInstances" and record.ok and record.read_only is False
    assert (record.identity.session_name, record.identity.role_name) == ("MySessionName", "RoleToBeAssumed")
    assert record.answer == {}
    assert list(texts(record.parameters)) == ["i-EXAMPLE56126103cb"]
    assert text_at(items_at(record.parameters, "instancesSet")[0], "instanceId") == "i-EXAMPLE56126103cb"


@pytest.mark.parametrize(
    ("identity", "name", "service"),
    [
        ({"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"}, "autoscaling.amazonaws.com", True),
        ({"type": "Root", "arn": "arn:aws:iam::1:root"}, "arn:aws:iam::1:root", False),
        ({"type": "AWSAccount", "principalId": "AIDAX"}, "AIDAX", False),
        (None, "unknown", False),
    ],
)
def test_who_called(identity: Any, name: str, service: bool) -> None:
    found = {"userIdentity": identity} if identity else {"userIdentity": {}}
    record = TrailRecord.model_validate({**DOCUMENTED, **found})
    assert (record.identity.name, record.identity.is_service) == (name, service)


def test_a_caller_s_text_is_one_visible_line() -> None:
    record = TrailRecord.model_validate(
        {**DOCUMENTED, "userAgent": "x\nFAKE \u202eline", "requestParameters": {"name": "a\u0000b"}}
    )
    assert "\n" not in record.agent and "\u202e" not in record.agent
    assert "\u0000" not in text_at(record.parameters, "name")


@pytest.mark.parametrize("change", [{"eventTime": None}, {"eventID": ""}, {"eventName": 7}, {"eventTime": "yesterday"}])
def test_what_has_no_time_name_or_id_is_no_record(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TrailRecord.model_validate({**DOCUMENTED, **change})


@pytest.mark.parametrize("value", ["too large", None, [1], 5])
def test_parameters_that_are_no_mapping_are_none(value: Any) -> None:
    assert TrailRecord.model_validate({**DOCUMENTED, "requestParameters": value}).parameters == {}
