"""Reading a volume that is not contiguous."""

from __future__ import annotations

import pytest

from forensic_toolkit.filesystems.extents import Extents


def test_reading_over_the_edges_of_pieces(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("pieces") / "device"
    path.write_bytes(bytes(range(100)))
    outer = Extents([(50, 10), (20, 10)])
    inner = outer.inside([(5, 10)])
    assert inner.pieces == ((55, 5), (20, 5))
    with path.open("rb") as file:
        assert inner.read(file.fileno(), offset=3, length=100) == bytes([58, 59, 20, 21, 22, 23, 24])
        assert inner.read(file.fileno(), offset=10, length=5) == b""
        assert Extents([(98, 10)]).read(file.fileno(), offset=0, length=10) == bytes([98, 99])
