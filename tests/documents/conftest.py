"""Fixtures of the documents' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.documents.capture_host import Store, serve


@pytest.fixture
def store() -> Iterator[Store]:
    """An HTTP server for one test."""
    with serve() as state:
        yield state
