"""Events as files, and a reader with the clock of the day on which they were written."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forensics.intake.readers import read_event
from forensics.models.intake import IntakeResult

EVENTS = Path(__file__).parents[2] / "data" / "events"
RECEIVED_AT = datetime(2026, 10, 5, 8, 16, tzinfo=UTC)


@pytest.fixture(scope="session")
def event() -> Callable[[str], dict[str, Any]]:
    """Return an event by its name, to be changed at will."""
    events = {path.stem: json.loads(path.read_text()) for path in EVENTS.glob("*.json")}
    return lambda name: copy.deepcopy(events[name])


@pytest.fixture(scope="session")
def read() -> Callable[..., IntakeResult]:
    """Read a body given as text or as what becomes JSON."""

    def _read(body: Any, **options: Any) -> IntakeResult:
        text = body if isinstance(body, str) else json.dumps(body)
        return read_event(text, received_at=RECEIVED_AT, own_account="222233334444", **options)

    return _read
