"""Copies of stored timelines: what cannot be read is raised once, and tried again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forensics.errors import AwsError
from forensics.models.timeline import TimelineSource, TimelineStore
from forensics.timeline.cache import TimelineCache
from tests.unit.timeline.test_search import START, Shelf, rows


def test_a_copy_that_could_not_be_made_is_tried_again(tmp_path: Path) -> None:
    shelf, cache = Shelf(tmp_path), TimelineCache(tmp_path / "cache", most_bytes=1 << 30)
    part = shelf.part(TimelineSource.DISK, rows())
    store = TimelineStore(version="20261124T031200000000Z", written_at=START, parts=(part,))

    def broken(uri: str) -> Iterator[bytes]:
        raise AwsError(f"read {uri}: denied")
        yield b""

    with pytest.raises(AwsError, match="denied"):
        cache.file(store, broken, wait=60)
    assert cache.file(store, shelf.read, wait=60)
    assert cache.file(store, broken, wait=60), "it is there and is not read again"
