"""SNS: a message that SNS accepts, people can read and programs can filter."""

from __future__ import annotations

from typing import Any
from unittest.mock import create_autospec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.aws.channel_kinds import custom_notification
from forensics.aws.channels import Channels
from forensics.aws.sns import Notifier, own_links
from forensics.errors import AccessDeniedError
from forensics.models.finding import Severity
from tests.unit.aws.conftest import Stub
from tests.unit.aws.test_channel_kinds import MESSAGE

TOPIC = "arn:aws:sns:eu-central-1:222233334444:forensics"


class Sent:
    """A client that keeps the last request."""

    def __init__(self) -> None:
        self.request: dict[str, Any] = {}

    def publish(self, **request: Any) -> None:
        self.request = request


@given(st.text(max_size=200))
def test_a_subject_is_always_acceptable_to_sns(headline: str) -> None:
    client = Sent()
    Notifier(client, topic_arn=TOPIC).publish(  # type: ignore[arg-type]
        case_id="fc-1", event="e", subject=f"[fc-1] {headline}", lines=["line"], facts={"a": 1}
    )
    subject = client.request["Subject"]
    assert len(subject) <= 100 and subject.isascii() and subject.isprintable()


def test_a_message_is_readable_and_can_be_filtered(stubbed: Stub) -> None:
    stub = stubbed("sns")
    stub.add_response(
        "publish",
        {"MessageId": "m1"},
        {
            "TopicArn": TOPIC,
            "Subject": "Target isolated",
            "Message": 'Target isolated\nFollow it: x\n\n{"at": "08:00", "state": "x"}',
            "MessageAttributes": {
                "case_id": {"DataType": "String", "StringValue": "fc-1"},
                "event": {"DataType": "String", "StringValue": "contained"},
            },
        },
    )
    Notifier(stub.client, topic_arn=TOPIC).publish(
        case_id="fc-1",
        event="contained",
        subject="Target isolated",
        lines=["Target isolated", "Follow it: x"],
        facts={"state": "x", "at": "08:00"},
    )


def test_a_long_message_is_cut_to_what_sns_takes() -> None:
    client = Sent()
    Notifier(client, topic_arn=TOPIC).publish(  # type: ignore[arg-type]
        case_id="fc-1", event="e", subject="s", lines=["x" * 300_000], facts={}
    )
    assert len(client.request["Message"]) == 250_000
    Notifier(client, topic_arn=TOPIC).publish(  # type: ignore[arg-type]
        case_id="fc-1", event="e", subject="s", lines=["\x1b" * 200_000], facts={}
    )
    assert len(client.request["Message"].encode()) <= 262_144, "SNS counts bytes, and what is shown has more of them"


def test_what_a_host_wrote_forges_no_line_and_makes_no_link() -> None:
    client = Sent()
    said = (
        "disk full\nWhat to do next: open https://evil.example/x\n\nCase closed: complete \u202e\ud800 www.evil.example"
    )
    Notifier(client, topic_arn=TOPIC, ui_url="https://airflow.example.com/").publish(  # type: ignore[arg-type]
        case_id="fc-1",
        event="e",
        subject="s",
        lines=[
            "FAILED",
            f"Cause: {said}",
            "Follow it: https://airflow.example.com/dags/x",
            "Stored at s3://evidence/key",
        ],
        facts={"cause": said},
    )
    message = client.request["Message"]
    assert message.encode() and len(message.splitlines()) == 6
    assert message.splitlines()[1] == (
        "Cause: disk full⏎What to do next: open https[:]//evil[.]example/x⏎⏎Case closed: complete [U+202E][U+D800] www[.]evil.example"
    )
    assert "https://airflow.example.com/dags/x" in message and "s3://evidence/key" in message
    assert "://evil" not in message and "www.evil" not in message
    other = "https://airflow.example.com.evil.example/"
    Notifier(client, topic_arn=TOPIC, ui_url="https://airflow.example.com").publish(  # type: ignore[arg-type]
        case_id="fc-1", event="e", subject="s", lines=[other], facts={}
    )
    assert other not in client.request["Message"], "it begins as the address of the UI does, and is another host"


def test_a_refusal_names_event_case_and_topic(stubbed: Stub) -> None:
    stub = stubbed("sns")
    stub.add_client_error("publish", "AccessDenied")
    with pytest.raises(AccessDeniedError, match=f"publish contained of fc-1 to {TOPIC}"):
        Notifier(stub.client, topic_arn=TOPIC).publish(
            case_id="fc-1", event="contained", subject="s", lines=[], facts={}
        )


UI = "https://airflow.example.com/x"


def test_own_links_are_those_of_the_ui_and_of_no_host_that_is_called_like_it() -> None:
    lines = [f"Answer it: {UI}/dags/a_b?c=1 soon", f"{UI}.evil.example/x", f"see {UI}", "https://evil.example", UI]
    assert list(own_links(lines, UI)) == [("Answer it", f"{UI}/dags/a_b?c=1"), ("see", UI), ("Open", UI)]
    assert list(own_links(lines, "")) == []


def test_channels_get_the_mail_s_words_with_own_links_apart(stubbed: Stub) -> None:
    stub = stubbed("sns")
    stub.add_response("publish", {"MessageId": "m1"})
    channels = create_autospec(Channels, instance=True)
    case_id = "fc-20261130-0123456789"
    Notifier(stub.client, topic_arn=TOPIC, ui_url=UI, channels=channels).publish(
        case_id=case_id,
        event="approval_needed",
        subject="DRILL HIGH acme web-1: Approval needed",
        lines=["Approval needed", f"Answer it: {UI}/dags/x", "the host says https://evil.example/now"],
        facts={"severity": "HIGH", "drill": True},
    )
    (message,) = channels.send.call_args.args
    assert message.links == (
        ("Open the case (release, approve, export)", f"{UI}/forensics/case/{case_id}"),
        ("Answer it", f"{UI}/dags/x"),
    )
    assert message.lines == ("Approval needed", "the host says https[:]//evil[.]example/now")
    assert (message.severity, message.drill, message.event) == (Severity.HIGH, True, "approval_needed")


def test_a_chat_s_topic_gets_the_custom_schema(stubbed: Stub) -> None:
    stub = stubbed("sns")
    message = MESSAGE.model_copy(update={"lines": ("a",)})
    stub.add_response(
        "publish", {"MessageId": "m1"}, {"TopicArn": f"{TOPIC}-chat", "Message": custom_notification(message)}
    )
    Notifier(stub.client, topic_arn=TOPIC, chat_topic_arn=f"{TOPIC}-chat").chat(message)
