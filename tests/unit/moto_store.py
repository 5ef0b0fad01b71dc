"""Clients of moto in this process, and the case store's table in its DynamoDB. The fixtures are in conftest.py."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import threading
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import boto3
from botocore.config import Config

TABLE = "forensics-cases"
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-central-1"}


@lru_cache
def make_client(service: str) -> Any:
    """A real client that retries nothing (making one takes a second, so each service has one)."""
    return boto3.session.Session(**KEYS).client(service, config=Config(retries={"max_attempts": 1}))


def _index(name: str) -> dict[str, Any]:
    keys = [
        {"AttributeName": f"{name}PK", "KeyType": "HASH"},
        {"AttributeName": f"{name}SK", "KeyType": "RANGE"},
    ]
    return {"IndexName": name, "KeySchema": keys, "Projection": {"ProjectionType": "ALL"}}


class Atomic:
    """A client whose calls happen one after the other: DynamoDB applies each call at once, moto does not."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def one_at_a_time(*names: str, **request: Any) -> Any:
            with self._lock:
                return call(*names, **request)

        return one_at_a_time


@contextlib.contextmanager
def case_table(client: Any) -> Iterator[Any]:
    """The product's table, empty, for as long as the context lasts; gives a client whose calls do not overlap."""
    names = ("PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK")
    client.create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in names],
        KeySchema=[
            {"AttributeName": "PK", "KeyType": "HASH"},
            {"AttributeName": "SK", "KeyType": "RANGE"},
        ],
        GlobalSecondaryIndexes=[_index("GSI1"), _index("GSI2")],
        BillingMode="PAY_PER_REQUEST",
    )
    try:
        yield Atomic(client)
    finally:
        client.delete_table(TableName=TABLE)


def checksum(body: bytes) -> str:
    """S3's form of a SHA-256 checksum."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()
