"""The merged timeline for Timesketch."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

import pytest

from forensics.report.chronology import merged
from forensics.report.exports import timesketch
from tests.unit.report import sample


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """The export's lines."""
    return [json.loads(line) for line in timesketch.render(sample.rich_view()).splitlines()]


def test_timesketch_has_every_moment_in_order_with_its_mandatory_fields(rows: list[dict[str, Any]]) -> None:
    moments = merged(sample.rich_view())
    assert len(rows) == len(moments)
    for row, moment in zip(rows, moments, strict=True):
        assert row["message"]
        assert row["timestamp_desc"]
        assert datetime.fromisoformat(row["datetime"]) == moment.time
        assert row["timestamp"] == round(moment.time.timestamp() * 1_000_000)
        assert len(row["message"].encode()) <= 32_766
    kinds = Counter(row["data_type"] for row in rows)
    assert {"forensics:tool", "forensics:custody", "forensics:finding", "forensics:containment"} <= set(kinds)
