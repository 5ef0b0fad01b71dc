"""SNS and SQS: what AWS would refuse is made acceptable before it is sent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from forensics.aws.sns import FindingQueue, Notifier
from tests.unit.moto_store import make_client

TOPIC = "arn:aws:sns:eu-central-1:222233334444:forensics"
URL = "https://sqs.eu-central-1.amazonaws.com/222233334444/findings"


class Sent:
    """A client that keeps the last request."""

    def __init__(self) -> None:
        self.request: dict[str, Any] = {}

    def publish(self, **request: Any) -> None:
        self.request = request

    send_message = publish


@given(st.text(max_size=200))
def test_a_subject_is_always_acceptable_to_sns(headline: str) -> None:
    client = Sent()
    Notifier(client, topic_arn=TOPIC).publish(
        case_id="fc-1", event="e", subject=f"[fc-1] {headline}", lines=["line"], facts={"a": 1}
    )
    subject = client.request["Subject"]
    assert len(subject) <= 100 and subject.isascii() and subject.isprintable()


def test_a_message_is_readable_and_can_be_filtered() -> None:
    client = Sent()
    Notifier(client, topic_arn=TOPIC).publish(
        case_id="fc-1", event="contained", subject="s", lines=["Target isolated"], facts={"state": "x"}
    )
    lines = client.request["Message"].splitlines()
    assert lines[0] == "Target isolated" and json.loads(lines[-1]) == {"state": "x"}
    attributes = client.request["MessageAttributes"]
    assert {k: v["StringValue"] for k, v in attributes.items()} == {"case_id": "fc-1", "event": "contained"}


@given(st.text(max_size=600))
def test_a_reason_is_always_acceptable_to_sqs(reason: str) -> None:
    client = Sent()
    FindingQueue(client, url=URL, dead_letter_url=f"{URL}-dlq").quarantine("{}", reason=reason)
    value = client.request["MessageAttributes"]["reason"]["StringValue"]
    assert 0 < len(value) <= 500
    allowed = all(
        c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" for c in value
    )
    assert allowed, "AWS.SimpleQueueService: InvalidMessageContents"


@pytest.mark.parametrize("messages", [[], [{"MessageId": "1", "Body": "{}", "ReceiptHandle": "r"}]])
def test_receiving_hides_and_does_not_delete(messages: list[dict[str, str]]) -> None:
    with Stubber(make_client("sqs")) as stub:
        stub.add_response(
            "receive_message",
            {"Messages": messages} if messages else {},
            {
                "QueueUrl": URL,
                "MaxNumberOfMessages": 10,
                "WaitTimeSeconds": 0,
                "VisibilityTimeout": 120,
                "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
            },
        )
        assert FindingQueue(stub.client, url=URL, dead_letter_url=URL).receive(visibility=120) == messages
        stub.assert_no_pending_responses()


def test_depth_is_the_visible_messages() -> None:
    with Stubber(make_client("sqs")) as stub:
        wanted = {"QueueUrl": URL, "AttributeNames": ["ApproximateNumberOfMessages"]}
        answer = {"Attributes": {"ApproximateNumberOfMessages": "7"}}
        stub.add_response("get_queue_attributes", answer, wanted)
        assert FindingQueue(stub.client, url=URL, dead_letter_url=URL).depth() == 7
