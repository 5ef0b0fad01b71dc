"""moto in this process, with a table and an evidence bucket."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.verifier.cases import Case, stores

KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-central-1"}


@pytest.fixture(scope="module")
def new_case() -> Iterator[Callable[[], Case]]:
    """Makes empty cases; every one has a signing key of its own."""
    numbers = itertools.count(1)
    with mock_aws():
        session: Any = boto3.session.Session(**KEYS)
        dynamodb, s3 = session.client("dynamodb"), session.client("s3")
        stores(dynamodb, s3)
        yield lambda: Case(f"fc-20261124-{next(numbers):010x}", dynamodb, s3)
