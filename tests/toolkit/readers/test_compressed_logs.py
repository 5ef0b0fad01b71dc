"""Compressed logs."""

from __future__ import annotations

import bz2
import gzip
import lzma
from typing import Any

import pytest

from forensic_toolkit.readers.compressed_logs import content_of
from tests.toolkit.fake_tree import Builder


@pytest.mark.parametrize(
    ("name", "pack"),
    [("a.gz", lambda data: gzip.compress(data, mtime=0)), ("a.bz2", bz2.compress), ("a.xz", lzma.compress)],
)
def test_unpacking_ends_at_the_limit_and_at_damage(name: str, pack: Any) -> None:
    plain = b"line\n" * 100_000
    whole, cut = pack(plain), pack(plain)[:-20]
    tree = Builder().add(f"/var/log/{name}", whole).add(f"/var/log/cut-{name}", cut).tree()
    entry, damaged = tree.get(f"/var/log/{name}"), tree.get(f"/var/log/cut-{name}")
    assert entry is not None and damaged is not None
    assert content_of(entry).data == plain
    assert content_of(entry).problems == ()
    short = content_of(entry, limit=len(whole) + 1000)
    assert len(short.data) <= len(whole) + 1000 and "decompresses to more" in short.problems[0]
    assert "cannot be decompressed" in content_of(damaged).problems[0]
