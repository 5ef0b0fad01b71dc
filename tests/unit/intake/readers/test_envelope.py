"""From the text of a message to one event: wrapped, bare, or refused."""

from __future__ import annotations

import json

import pytest

from forensics.intake.readers.envelope import (
    CONFIG,
    GUARDDUTY,
    IMPORTED,
    IMPORTED_V2,
    SNS_CONFIRMATION,
    Envelope,
    check_ids,
    open_body,
)
from forensics.intake.readers.fields import QuarantineError

EVENT = {
    "detail-type": "GuardDuty Finding", "source": "aws.guardduty", "account": "333344445555", "region": "eu-central-1",
    "id": "e-1", "time": "2026-11-24T08:00:00Z", "resources": ["arn:1", 7, "arn:2"], "detail": {"id": "f"},
}  # fmt: skip


def test_an_event_is_read_with_what_eventbridge_says_about_it() -> None:
    assert open_body(json.dumps(EVENT)) == Envelope(
        detail_type="GuardDuty Finding",
        source="aws.guardduty",
        detail={"id": "f"},
        event_id="e-1",
        account="333344445555",
        region="eu-central-1",
        time="2026-11-24T08:00:00Z",
        resources=("arn:1", "arn:2"),
    )


@pytest.mark.parametrize("as_text", [True, False])
def test_what_sns_wrapped_is_unwrapped(as_text: bool) -> None:
    inner = json.dumps(EVENT) if as_text else EVENT
    wrapped = json.dumps({"Type": "Notification", "Message": json.dumps({"Message": inner})})
    assert open_body(wrapped) == open_body(json.dumps(EVENT))


def test_a_subscription_message_of_sns_is_recognised() -> None:
    opened = open_body('{"Type": "SubscriptionConfirmation", "Message": "please", "MessageId": "m-1"}')
    assert (opened.detail_type, opened.source, opened.event_id) == (SNS_CONFIRMATION, "aws.sns", "m-1")


@pytest.mark.parametrize(
    ("bare", "detail_type", "source"),
    [
        ({"class_uid": 2004, "finding_info": {}}, IMPORTED_V2, "aws.securityhub"),
        ({"AwsAccountId": "1", "Id": "f"}, IMPORTED, "aws.securityhub"),
        ({"findings": [{"finding_info": {}}]}, IMPORTED_V2, "aws.securityhub"),
        ({"findings": []}, IMPORTED, "aws.securityhub"),
        ({"configRuleName": "r", "newEvaluationResult": {}}, CONFIG, "aws.config"),
        ({"AccountId": "1", "Type": "t", "Service": {}}, GUARDDUTY, "aws.guardduty"),
    ],
)
def test_a_bare_finding_is_recognised_by_its_fields(bare: dict[str, object], detail_type: str, source: str) -> None:
    opened = open_body(json.dumps(bare))
    assert (opened.detail_type, opened.source, opened.bare) == (detail_type, source, True)
    assert opened.account is opened.region is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"detail": "text"}, "an event's detail is a JSON object"),
        ({"detail-type": 7}, "an event's detail-type is text"),
        ({"account": 333344445555}, "account='333344445555': not text"),
    ],
)
def test_a_malformed_event_is_refused_by_the_field(change: dict[str, object], problem: str) -> None:
    with pytest.raises(QuarantineError, match=problem):
        open_body(json.dumps({**EVENT, **change}))


def test_a_field_that_occurs_twice_is_refused_by_name() -> None:
    with pytest.raises(QuarantineError, match=r"account=.*the field occurs twice"):
        open_body('{"id": "e", "account": "1", "account": "2"}')


@pytest.mark.parametrize(("field", "value"), [("account", "3333"), ("region", "mars-north-1")])
def test_an_envelope_from_nowhere_is_refused(field: str, value: str) -> None:
    check_ids(open_body(json.dumps(EVENT)))
    with pytest.raises(QuarantineError, match=f"{field}='{value}'"):
        check_ids(open_body(json.dumps({**EVENT, field: value})))
