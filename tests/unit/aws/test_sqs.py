"""SQS: messages stay until their work is done; what SQS would refuse is made acceptable before it is sent."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from forensics.aws.sqs import FindingQueue
from forensics.errors import AwsError
from tests.unit.aws.conftest import Stub

URL = "https://sqs.eu-central-1.amazonaws.com/222233334444/findings"
DEAD = f"{URL}-dlq"


@pytest.fixture
def stub(stubbed: Stub) -> Stubber:
    """SQS."""
    return stubbed("sqs")


@pytest.fixture
def queue(stub: Stubber) -> FindingQueue:
    """The queue and its dead-letter queue."""
    return FindingQueue(stub.client, url=URL, dead_letter_url=DEAD)


def receiving(url: str, *, visibility: int, number: int = 10, **more: Any) -> dict[str, Any]:
    """What ReceiveMessage must carry."""
    return {
        "QueueUrl": url,
        "MaxNumberOfMessages": number,
        "WaitTimeSeconds": 0,
        "VisibilityTimeout": visibility,
        "MessageSystemAttributeNames": ["SentTimestamp", "ApproximateReceiveCount"],
        **more,
    }


@pytest.mark.parametrize("messages", [[], [{"MessageId": "1", "Body": "{}", "ReceiptHandle": "r"}]])
def test_receiving_hides_and_does_not_delete(
    stub: Stubber, queue: FindingQueue, messages: list[dict[str, str]]
) -> None:
    answer = {"Messages": messages} if messages else {}
    stub.add_response("receive_message", answer, receiving(URL, visibility=120))
    assert queue.receive(visibility=120) == messages


URGENT = f"{URL}-urgent"


@pytest.fixture
def both(stub: Stubber) -> FindingQueue:
    """The queue and the urgent one."""
    return FindingQueue(stub.client, url=URL, dead_letter_url=DEAD, urgent_url=URGENT)


def message(receipt: str) -> dict[str, str]:
    return {"MessageId": receipt, "Body": "{}", "ReceiptHandle": receipt}


def test_the_urgent_queue_is_looked_at_first_and_each_message_ends_in_its_own(
    stub: Stubber, both: FindingQueue
) -> None:
    """A receipt is good for the queue that gave it alone (SQS API reference, DeleteMessageBatch: ReceiptHandleIsInvalid)."""
    stub.add_response("receive_message", {"Messages": [message("u")]}, receiving(URGENT, visibility=60))
    assert both.receive(visibility=60) == [message("u")]
    stub.add_response("receive_message", {}, receiving(URGENT, visibility=60))
    stub.add_response("receive_message", {"Messages": [message("r")]}, receiving(URL, visibility=60))
    assert both.receive(visibility=60) == [message("r")]
    for url, receipt in ((URGENT, "u"), (URL, "r")):
        entry = {"Id": "0", "ReceiptHandle": receipt}
        hidden = {"QueueUrl": url, "Entries": [{**entry, "VisibilityTimeout": 60}]}
        stub.add_response("change_message_visibility_batch", {"Successful": [{"Id": "0"}], "Failed": []}, hidden)
    assert both.hide(["r", "u"], seconds=60) == []
    for url, receipt in ((URGENT, "u"), (URL, "r")):
        gone = {"QueueUrl": url, "Entries": [{"Id": "0", "ReceiptHandle": receipt}]}
        stub.add_response("delete_message_batch", {"Successful": [{"Id": "0"}], "Failed": []}, gone)
    both.delete(["r", "u"])
    stub.assert_no_pending_responses()


def test_with_a_full_window_only_the_urgent_queue_is_asked(
    stub: Stubber, both: FindingQueue, queue: FindingQueue
) -> None:
    stub.add_response("receive_message", {}, receiving(URGENT, visibility=60))
    assert both.receive(visibility=60, urgent_only=True) == []
    stub.assert_no_pending_responses()
    assert queue.receive(visibility=60, urgent_only=True) == [], "there is none: nothing is asked"


def test_depth_and_peek_see_both_queues(stub: Stubber, both: FindingQueue) -> None:
    for url, depth in ((URGENT, "1"), (URL, "2")):
        asked = {"QueueUrl": url, "AttributeNames": ["ApproximateNumberOfMessages"]}
        stub.add_response("get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": depth}}, asked)
    assert both.depth() == 3
    stub.add_response("receive_message", {"Messages": [message("u")]}, receiving(URGENT, visibility=0, number=1))
    assert both.peek() == 1


def test_dead_letters_come_with_their_reason(stub: Stubber, queue: FindingQueue) -> None:
    letter = {"MessageId": "1", "MessageAttributes": {"reason": {"DataType": "String", "StringValue": "no account"}}}
    asked = receiving(DEAD, visibility=10, MessageAttributeNames=["All"])
    stub.add_response("receive_message", {"Messages": [letter]}, asked)
    assert queue.receive_dead(visibility=10) == [letter]


@pytest.mark.parametrize("there", [0, 1])
def test_a_peek_hides_nothing(stub: Stubber, queue: FindingQueue, there: int) -> None:
    messages = [{"MessageId": "1"}] * there
    stub.add_response("receive_message", {"Messages": messages}, receiving(URL, visibility=0, number=1))
    assert queue.peek() == there


def test_depth_is_the_visible_messages(stub: Stubber, queue: FindingQueue) -> None:
    wanted = {"QueueUrl": URL, "AttributeNames": ["ApproximateNumberOfMessages"]}
    stub.add_response("get_queue_attributes", {"Attributes": {"ApproximateNumberOfMessages": "7"}}, wanted)
    assert queue.depth() == 7


def test_hidden_dead_letters_count(stub: Stubber, queue: FindingQueue) -> None:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = {"Attributes": {names[0]: "2", names[1]: "3"}}
    stub.add_response("get_queue_attributes", answer, {"QueueUrl": DEAD, "AttributeNames": names})
    assert queue.dead_letters() == 5


def test_hiding_goes_in_batches_of_ten_and_returns_what_sqs_refused(stub: Stubber, queue: FindingQueue) -> None:
    receipts = [f"r{n}" for n in range(11)]
    first = [{"Id": str(n), "ReceiptHandle": f"r{n}", "VisibilityTimeout": 30} for n in range(10)]
    failed = [{"Id": "0", "SenderFault": True, "Code": "ReceiptHandleIsInvalid", "Message": "expired"}]
    stub.add_response(
        "change_message_visibility_batch", {"Successful": [], "Failed": []}, {"QueueUrl": URL, "Entries": first}
    )
    stub.add_response(
        "change_message_visibility_batch",
        {"Successful": [], "Failed": failed},
        {"QueueUrl": URL, "Entries": [{"Id": "0", "ReceiptHandle": "r10", "VisibilityTimeout": 30}]},
    )
    assert queue.hide(receipts, seconds=30) == ["ReceiptHandleIsInvalid: expired"]


def test_a_deletion_that_sqs_refuses_is_an_error_that_can_wait(stub: Stubber, queue: FindingQueue) -> None:
    failed = [{"Id": "1", "SenderFault": False, "Code": "InternalError", "Message": ""}]
    stub.add_response(
        "delete_message_batch",
        {"Successful": [], "Failed": failed},
        {"QueueUrl": URL, "Entries": [{"Id": "0", "ReceiptHandle": "a"}, {"Id": "1", "ReceiptHandle": "b"}]},
    )
    with pytest.raises(AwsError, match="refused 1 of 2: InternalError") as caught:
        queue.delete(["a", "b"])
    assert caught.value.retryable


def test_a_redrive_sends_before_it_deletes(stub: Stubber, queue: FindingQueue) -> None:
    stub.add_response("send_message", {"MessageId": "2"}, {"QueueUrl": URL, "MessageBody": "{}"})
    stub.add_response(
        "delete_message_batch",
        {"Successful": [], "Failed": []},
        {"QueueUrl": DEAD, "Entries": [{"Id": "0", "ReceiptHandle": "r"}]},
    )
    queue.redrive({"MessageId": "1", "Body": "{}", "ReceiptHandle": "r"})


def test_a_redrive_that_cannot_be_sent_deletes_nothing(stub: Stubber, queue: FindingQueue) -> None:
    stub.add_client_error("send_message", "InternalError")
    with pytest.raises(AwsError, match="send a dead letter back"):
        queue.redrive({"MessageId": "1", "Body": "{}", "ReceiptHandle": "r"})


class Sent:
    """A client that keeps the last request."""

    def __init__(self) -> None:
        self.request: dict[str, Any] = {}

    def send_message(self, **request: Any) -> None:
        self.request = request


@given(st.text(max_size=600))
def test_a_reason_is_always_acceptable_to_sqs(reason: str) -> None:
    client = Sent()
    FindingQueue(client, url=URL, dead_letter_url=DEAD).quarantine("{}", reason=reason)  # type: ignore[arg-type]
    assert client.request["QueueUrl"] == DEAD
    value = client.request["MessageAttributes"]["reason"]["StringValue"]
    assert 0 < len(value) <= 500
    allowed = all(
        c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" for c in value
    )
    assert allowed, "AWS.SimpleQueueService: InvalidMessageContents"
