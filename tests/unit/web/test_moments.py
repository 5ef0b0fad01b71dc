"""Times in addresses."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from forensics.web.moments import moment_of
from forensics.web.problem import Problem


def test_a_time_without_an_offset_is_utc_and_nothing_is_none() -> None:
    assert moment_of("2026-11-24T03:00") == datetime(2026, 11, 24, 3, tzinfo=UTC) == moment_of("2026-11-24T04:00+01:00")
    assert moment_of("") is None


def test_what_is_no_time_is_named() -> None:
    with pytest.raises(Problem) as caught:
        moment_of("yesterday")
    assert caught.value.status == 422 and "'yesterday' is no time" in caught.value.why
