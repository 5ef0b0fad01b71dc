"""SQS, SNS and EventBridge as the intake and the notifier use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from forensics.aws.sns import Notifier
from forensics.aws.sqs import FindingQueue
from tests.contract.judges.emulators import Running

REMEMBERED = 200


@pytest.fixture
def queue(aws: Running, name: str) -> FindingQueue:
    """A queue with a dead-letter queue after two deliveries."""
    sqs = aws.client("sqs")
    dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "2"})
    url = sqs.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy, "VisibilityTimeout": "30"})["QueueUrl"]
    return FindingQueue(sqs, url=url, dead_letter_url=dead)


def _send(queue: FindingQueue, body: str = "{}") -> None:
    queue._sqs.send_message(QueueUrl=queue.url, MessageBody=body)


def _taken(take: Callable[[], list[Any]], number: int = 1) -> list[Any]:
    """Messages, as soon as there are so many: a reception may find fewer than are there."""
    found: list[Any] = []
    for _ in range(REMEMBERED):
        found += take()
        if len(found) >= number:
            break
    return found


@pytest.mark.services("sqs")
def test_a_message_is_hidden_while_it_is_worked_on(queue: FindingQueue) -> None:
    _send(queue)
    assert queue.depth() == 1
    (message,) = _taken(lambda: queue.receive(visibility=60))
    assert set(message["Attributes"]) >= {"SentTimestamp", "ApproximateReceiveCount"}
    assert queue.receive(visibility=60) == []
    assert queue.hide([message["ReceiptHandle"]], seconds=0) == []
    assert len(_taken(lambda: queue.receive(visibility=60))) == 1


@pytest.mark.services("sqs")
def test_a_deleted_message_does_not_come_back(queue: FindingQueue) -> None:
    for _ in range(12):
        _send(queue)
    messages = _taken(lambda: queue.receive(visibility=60), 12)
    queue.delete([message["ReceiptHandle"] for message in messages])
    assert len({message["MessageId"] for message in messages}) == 12
    assert queue.depth() == 0


@pytest.mark.services("sqs")
def test_a_message_that_nobody_can_work_on_goes_to_the_dead_letters(queue: FindingQueue) -> None:
    _send(queue, "poison")
    for _ in range(2):
        (message,) = _taken(lambda: queue.receive(visibility=0))
        assert message["Body"] == "poison"
    _taken(lambda: queue.receive(visibility=0))
    assert queue.dead_letters() == 1


@pytest.mark.services("sqs")
def test_a_quarantined_message_has_its_reason_and_can_go_back(queue: FindingQueue) -> None:
    queue.quarantine('{"a": "€"}', reason="not\x00 JSON")
    (dead,) = _taken(lambda: queue.receive_dead(visibility=60))
    assert dead["MessageAttributes"]["reason"]["StringValue"] == "not? JSON"
    queue.redrive(dead)
    assert queue.dead_letters() == 0
    (back,) = _taken(lambda: queue.receive(visibility=60))
    assert back["Body"] == '{"a": "€"}'


@pytest.mark.services("sqs")
def test_a_message_with_a_control_character_is_refused(queue: FindingQueue) -> None:
    """SQS API reference, SendMessage: characters outside the list are rejected with InvalidMessageContents."""
    with pytest.raises(ClientError) as caught:
        _send(queue, "a\x00b")
    assert caught.value.response["Error"]["Code"] in (
        "InvalidMessageContents",
        "AWS.SimpleQueueService.InvalidMessageContents",
    )


@pytest.mark.services("sqs")
def test_an_unknown_queue_has_the_code_that_older_clients_know(queue: FindingQueue) -> None:
    """localstack/localstack, tests/aws/services/sqs/test_sqs.snapshot.json (recorded at AWS): NonExistentQueue."""
    with pytest.raises(ClientError) as caught:
        queue._sqs.receive_message(QueueUrl=queue.url + "-never")
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"


@pytest.mark.services("sqs")
def test_a_batch_names_the_receipt_that_is_no_good(queue: FindingQueue) -> None:
    _send(queue)
    (message,) = _taken(lambda: queue.receive(visibility=60))
    entries = [{"Id": "0", "ReceiptHandle": message["ReceiptHandle"]}, {"Id": "1", "ReceiptHandle": "nonsense"}]
    answer = queue._sqs.delete_message_batch(QueueUrl=queue.url, Entries=entries)
    assert [done["Id"] for done in answer["Successful"]] == ["0"]
    assert [(f["Id"], f["Code"]) for f in answer["Failed"]] == [("1", "ReceiptHandleIsInvalid")]


@pytest.mark.services("sqs", "sns")
def test_a_published_message_reaches_its_subscriber_with_its_attributes(
    aws: Running, name: str, queue: FindingQueue
) -> None:
    sns, sqs = aws.client("sns"), aws.client("sqs")
    topic = sns.create_topic(Name=name)["TopicArn"]
    arn = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    only = {"event": ["opened"]}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": json.dumps(only)})
    notifier = Notifier(sns, topic_arn=topic)
    notifier.publish(case_id="c", event="closed", subject="no", lines=["n"], facts={})
    notifier.publish(case_id="c", event="opened", subject="Fall ä\n", lines=["l"], facts={"a": 1})
    (message,) = _taken(lambda: queue.receive(visibility=60))
    body = json.loads(message["Body"])
    assert (body["Type"], body["Subject"], body["TopicArn"]) == ("Notification", "Fall ??", topic)
    assert body["Message"] == 'l\n\n{"a": 1}'
    assert body["MessageAttributes"]["event"] == {"Type": "String", "Value": "opened"}
    assert queue.receive(visibility=60) == []


@pytest.mark.services("sns")
def test_a_subject_of_more_than_a_hundred_characters_is_refused(aws: Running, name: str) -> None:
    topic = aws.client("sns").create_topic(Name=name)["TopicArn"]
    with pytest.raises(ClientError) as caught:
        aws.client("sns").publish(TopicArn=topic, Subject="x" * 101, Message="m")
    assert caught.value.response["Error"]["Code"] == "InvalidParameter"


@pytest.mark.services("sns")
def test_an_unknown_topic_is_not_found(aws: Running) -> None:
    with pytest.raises(ClientError) as caught:
        aws.client("sns").publish(TopicArn=f"arn:aws:sns:{aws.region}:{aws.account}:never", Message="m")
    assert caught.value.response["Error"]["Code"] == "NotFound"


@pytest.mark.services("events", "sqs")
def test_a_rule_delivers_the_whole_event_and_nothing_else(aws: Running, name: str, queue: FindingQueue) -> None:
    events, sqs = aws.client("events"), aws.client("sqs")
    arn = sqs.get_queue_attributes(QueueUrl=queue.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    # EventBridge user guide, "Using resource-based policies for EventBridge": a queue lets events.amazonaws.com in, or gets nothing
    let_in = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [let_in]})
    sqs.set_queue_attributes(QueueUrl=queue.url, Attributes={"Policy": policy})
    pattern = {"source": [name], "detail": {"findings": {"Severity": {"Label": ["HIGH"]}}}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])
    entry = {"Source": name, "DetailType": "Security Hub Findings - Imported", "Resources": ["arn:aws:ec2:x"]}
    details = [{"findings": [{"Severity": {"Label": label}}]} for label in ("LOW", "HIGH")]
    done = events.put_events(Entries=[entry | {"Detail": json.dumps(detail)} for detail in details])
    assert done["FailedEntryCount"] == 0
    (message,) = _taken(lambda: queue.receive(visibility=60))
    event = json.loads(message["Body"])
    assert set(event) == {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}
    assert (event["detail"], event["account"], event["resources"]) == (details[1], aws.account, ["arn:aws:ec2:x"])
    assert queue.receive(visibility=60) == []


PATTERNS: list[tuple[dict[str, Any], bool]] = [
    ({"findings": {"Severity": {"Label": ["HIGH"]}}}, True),
    ({"findings": {"Severity": {"Label": ["CRITICAL"]}}}, False),
    ({"findings": {"Types": [{"prefix": "b"}]}}, True),
    ({"findings": {"Types": [{"suffix": "x"}]}}, False),
    ({"count": [{"numeric": [">", 1, "<=", 3]}]}, True),
    ({"count": [{"numeric": ["=", 4]}]}, False),
    ({"name": [{"anything-but": ["other"]}]}, True),
    ({"name": [{"anything-but": {"prefix": "we"}}]}, False),
    ({"name": [{"equals-ignore-case": "WEB"}]}, True),
    ({"name": [{"wildcard": "w*b"}]}, True),
    ({"missing": [{"exists": False}]}, True),
    ({"name": [{"exists": False}]}, False),
    ({"address": [{"cidr": "10.0.0.0/24"}]}, True),
    ({"$or": [{"name": ["z"]}, {"count": [3]}]}, True),
    ({"name": ["web"], "count": [4]}, False),
    ({"empty": [None]}, True),
]


@pytest.mark.services("events")
@pytest.mark.parametrize(("pattern", "expected"), PATTERNS)
def test_patterns_match_as_event_ruler_says(aws: Running, pattern: dict[str, Any], expected: bool) -> None:
    """EventBridge user guide, Creating event patterns, Comparison operators; aws/event-ruler is AWS's own matcher."""
    detail = {
        "findings": [{"Severity": {"Label": "LOW"}}, {"Severity": {"Label": "HIGH"}, "Types": ["a", "b"]}],
        "count": 3, "name": "web", "address": "10.0.0.7", "empty": None,
    }  # fmt: skip
    event = {
        "id": "1", "source": "s", "detail-type": "t", "account": aws.account, "time": "2026-01-01T00:00:00Z", "region": aws.region,
        "resources": [], "detail": detail,
    }  # fmt: skip
    answer = aws.client("events").test_event_pattern(
        EventPattern=json.dumps({"detail": pattern}), Event=json.dumps(event)
    )
    assert answer["Result"] is expected


@pytest.mark.services("events")
def test_a_pattern_that_is_none_is_refused(aws: Running, name: str) -> None:
    with pytest.raises(ClientError) as caught:
        aws.client("events").put_rule(Name=name, EventPattern='{"detail": {"name": "web"}}')
    assert caught.value.response["Error"]["Code"] == "InvalidEventPatternException"
