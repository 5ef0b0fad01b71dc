"""Lines of a case are found in blocks by words, each once and in their order."""

from __future__ import annotations

import pytest

from forensics.cloud_evidence.line_filter import lines_with

BLOCK = b"one i-1 a\ntwo\nthree i-1 i-1 10.0.0.5\nfour 10.0.0.5\n\nfive i-1"


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([b"i-1"], [b"one i-1 a", b"three i-1 i-1 10.0.0.5", b"five i-1"]),
        ([b"10.0.0.5", b"i-1"], [b"one i-1 a", b"three i-1 i-1 10.0.0.5", b"four 10.0.0.5", b"five i-1"]),
        ([b"nothing"], []),
        ([], []),
    ],
)
def test_each_line_with_a_word_comes_once_and_in_order(words: list[bytes], lines: list[bytes]) -> None:
    assert list(lines_with(BLOCK, words)) == lines
