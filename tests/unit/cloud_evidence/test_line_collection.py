"""A file that ends the process that reads it is named, and the files after it are read."""

from __future__ import annotations

import gzip

import pytest
from pydantic import BaseModel

from forensics.cloud_evidence.line_collection import LineSpool, search_lines
from forensics.cloud_evidence.line_filter import LineFile, LinesSelected, select_lines
from forensics.cloud_evidence.trail_selection import LogObject
from forensics.confined import Channel
from forensics.errors import ConfinedError

FUNCTION = f"{__name__}:select"


class Nothing(BaseModel):
    """An order without content."""


class _File(LineFile):
    def take(self, line: bytes) -> None:
        if b"crash" in line:
            raise RuntimeError
        self.keep(line.decode())


def select(_order: bytes, channel: Channel) -> LinesSelected:
    """What runs in the child."""
    return select_lines(channel, lambda: _File([b"x"], channel))


def test_a_crash_is_named_and_the_rest_is_read() -> None:
    objects = [LogObject(n, b, gzip=False) for n, b in (("a", b"x 1\n"), ("b", b"x crash\n"), ("c", b"x 2\nno\n"))]
    spool = LineSpool()
    search_lines(FUNCTION, Nothing(), objects, spool)
    assert gzip.decompress(b"".join(spool.chunks())) == b"x 1\nx 2\n" and spool.records == 2
    assert "RuntimeError" in spool.reports["b"].problem and set(spool.sources) == {"a", "b", "c"}
    assert [spool.reports[n].problem for n in "ac"] == ["", ""]
    spool.close()


def test_files_that_crash_it_again_and_again_end_the_search() -> None:
    objects = [LogObject(str(n), b"x crash\n", gzip=False) for n in range(9)]
    with pytest.raises(ConfinedError):
        search_lines(FUNCTION, Nothing(), objects, LineSpool())
