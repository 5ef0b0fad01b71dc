"""Stubbed clients: botocore holds every request and every answer against the service's own model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from botocore.stub import Stubber

from tests.unit.moto_store import make_client

Stub = Callable[[str], Stubber]


@pytest.fixture
def stubbed() -> Iterator[Stub]:
    """Makes a service's client that answers what the test has put down, in order; nothing may be left over."""
    made: list[Stubber] = []
    with ExitStack() as stack:

        def stub(service: str) -> Stubber:
            made.append(stack.enter_context(Stubber(make_client(service))))
            return made[-1]

        yield stub
    for stubber in made:
        stubber.assert_no_pending_responses()
