"""The case id as correlation id on every log line of a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def case_context(case_id: str, **fields: str) -> Iterator[None]:
    """Bind the case id (and further ids) to every log line inside the block."""
    with structlog.contextvars.bound_contextvars(case_id=case_id, **fields):
        yield
