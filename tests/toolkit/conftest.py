"""Fixtures of the toolkit's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.toolkit.object_store import Store, serving


@pytest.fixture
def store() -> Iterator[Store]:
    """A server in place of S3, for one test."""
    with serving() as state:
        yield state
