"""A nonce counts once, for one user."""

from __future__ import annotations

from typing import Any

from forensics.triage.nonces import NonceStore
from tests.unit.builders import NOW
from tests.unit.moto_store import TABLE


def test_a_nonce_is_consumed_once_but_its_user_may_repeat_it(dynamodb: Any) -> None:
    nonces = NonceStore(dynamodb, table=TABLE)
    assert nonces.consume("request/abc", by="case-1", until=NOW)
    assert nonces.consume("request/abc", by="case-1", until=NOW)
    assert not nonces.consume("request/abc", by="case-2", until=NOW)
    assert nonces.consume("request/abd", by="case-2", until=NOW)


def test_it_says_when_dynamodb_may_drop_it(dynamodb: Any) -> None:
    NonceStore(dynamodb, table=TABLE).consume("request/abc", by="case-1", until=NOW)
    (item,) = dynamodb.scan(TableName=TABLE)["Items"]
    assert (item["PK"]["S"], item["expires"]["N"]) == ("ONCE#request/abc", str(int(NOW.timestamp())))
