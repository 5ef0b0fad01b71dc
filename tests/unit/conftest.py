"""The case store on moto's DynamoDB. moto and boto3 are imported by the tests that ask for it, and by no other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from forensics.aws.case_store import CaseStore


@pytest.fixture(scope="module")
def _moto() -> Iterator[Any]:
    from moto import mock_aws

    from tests.unit.moto_store import make_client

    with mock_aws():
        yield make_client("dynamodb")


@pytest.fixture
def dynamodb(_moto: Any) -> Iterator[Any]:
    """DynamoDB with the product's table, empty."""
    from tests.unit.moto_store import case_table

    with case_table(_moto) as client:
        yield client


@pytest.fixture
def store(dynamodb: Any) -> CaseStore:
    """The case store."""
    from forensics.aws.case_store import CaseStore
    from tests.unit.moto_store import TABLE

    return CaseStore(dynamodb, table=TABLE)
