"""Local servers, and a case whose timeline is stored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics import case_keys
from forensics.confined import MIB
from forensics.models.timeline import TimelineStore
from forensics.push.stored_case import StoredCase
from forensics.timeline.writer import store_timeline
from tests.unit.push.openrelik_server import OpenRelik, openrelik
from tests.unit.push.timesketch_server import Timesketch, timesketch
from tests.unit.report.test_gap_counts import Stored
from tests.unit.timeline.test_writer import case_with_timeline


@pytest.fixture
def sketches() -> Iterator[Timesketch]:
    """A Timesketch."""
    with timesketch() as made:
        yield made


@pytest.fixture
def relik() -> Iterator[OpenRelik]:
    """An OpenRelik."""
    with openrelik() as made:
        yield made


@pytest.fixture
def recorder() -> Stored:
    """A case that has ended, with a stored timeline."""
    made = case_with_timeline()
    store_timeline(made)
    return made


@pytest.fixture
def stored(recorder: Stored, tmp_path: Path) -> StoredCase:
    """The case as a plug sees it."""
    return stored_case(recorder, tmp_path)


def stored_case(recorder: Stored, folder: Path, *, most_mib: int = 512) -> StoredCase:
    """A case as a plug sees it, below a folder of its own."""
    folder.mkdir(exist_ok=True)
    store = recorder.get(case_keys.TIMELINE_STORE, TimelineStore)
    assert store is not None and MIB
    return StoredCase(recorder.view(), store, recorder.gateways.evidence, folder=folder, most_mib=most_mib)
