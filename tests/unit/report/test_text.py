"""Words for people."""

from __future__ import annotations

import pytest

from forensics.printable import count
from forensics.report import text


@pytest.mark.parametrize(
    ("size", "human", "exact"),
    [
        (None, "not recorded", ""),
        (0, "0 bytes", ""),
        (1023, "1023 bytes", ""),
        (1024, "1.00 KiB", "1,024 bytes"),
        (1073742848, "1.00 GiB", "1,073,742,848 bytes"),
        (2**62, "4,096.00 PiB", "4,611,686,018,427,387,904 bytes"),
    ],
)
def test_sizes(size: int | None, human: str, exact: str) -> None:
    assert (text.human_size(size), text.exact_size(size)) == (human, exact)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "not recorded"),
        (-95, "\N{MINUS SIGN}95.0 s"),
        (130, "+130.0 s (2 min 10 s)"),
        (90061, "+90,061.0 s (1 d 1 h 1 min)"),
    ],
)
def test_durations(seconds: float | None, shown: str) -> None:
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(("number", "words"), [(0, "0 gaps"), (1, "1 gap"), (2, "2 gaps")])
def test_counts(number: int, words: str) -> None:
    assert count(number, "gap") == words
    assert count(number, "entry", "entries") == words.replace("gaps", "entries").replace("gap", "entry")


def test_free_form_values_are_flat_text() -> None:
    values = {"b": {"y": [1, 2], "x": True}, "a": None, "c": ""}
    assert text.flat(values) == "a: not recorded; b.x: yes; b.y: 1, 2; c: not recorded"
