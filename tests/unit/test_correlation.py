"""The case id on every log line of a block."""

from __future__ import annotations

import structlog

from forensics.correlation import case_context


def test_the_case_id_is_bound_inside_the_block_only() -> None:
    structlog.contextvars.clear_contextvars()
    with case_context("fc-1", step="a"):
        assert structlog.contextvars.get_contextvars() == {"case_id": "fc-1", "step": "a"}
        with case_context("fc-2"):
            assert structlog.contextvars.get_contextvars() == {"case_id": "fc-2", "step": "a"}
    assert structlog.contextvars.get_contextvars() == {}
