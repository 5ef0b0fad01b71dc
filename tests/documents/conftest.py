"""Fixtures of the documents' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.userland.bucket import Bucket, bucket


@pytest.fixture
def store() -> Iterator[Bucket]:
    """An HTTP server for one test."""
    with bucket() as state:
        yield state
