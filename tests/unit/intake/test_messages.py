"""One delivery of a message, as ReceiveMessage returns it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forensics.intake.messages import ReceivedMessage

RAW = {"MessageId": "m-1", "ReceiptHandle": "r-1", "Body": "{}", "Attributes": {"SentTimestamp": "1795500000123"}}


def test_the_time_of_sending_counts() -> None:
    received = ReceivedMessage.of(RAW)
    assert (received.message_id, received.receipt, received.body) == ("m-1", "r-1", "{}")
    assert received.received_at == datetime.fromtimestamp(1795500000.123, UTC)


@pytest.mark.parametrize("attributes", [None, {}, {"ApproximateReceiveCount": "2"}])
def test_without_it_the_message_was_received_now(attributes: object) -> None:
    before = datetime.now(UTC)
    received = ReceivedMessage.of({**RAW, "Attributes": attributes})
    assert before <= received.received_at <= datetime.now(UTC)
