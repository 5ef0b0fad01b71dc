"""Jump lists of Windows 7, 10 and 11. The readers were also held against lists of these systems."""

from __future__ import annotations

from datetime import timedelta

import pytest

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.readers import jump_lists
from forensic_toolkit.readers.compound_files import CompoundFile
from tests.toolkit import shortcut_blobs as blobs
from tests.toolkit.fake_tree import LATER

PLAN = r"C:\Users\kim\Documents\plan.xlsx"
OLD = LATER - timedelta(days=3)


@pytest.mark.parametrize("version", [1, 4])
def test_what_was_opened_when_and_how_often(version: int) -> None:
    many = [(f"C:\\Daten\\{number}.txt", OLD, 1, blobs.link(f"C:\\Daten\\{number}.txt")) for number in range(40)]
    raw = blobs.destinations([(PLAN, LATER, 7, blobs.link(PLAN, created=OLD)), *many], version=version)
    found, problems = jump_lists.automatic(raw)
    assert problems == [] and len(found) == 41
    first = found[0]
    assert (first.path, first.opened, first.host) == (PLAN, LATER, "web01")
    assert first.count == (7 if version > 1 else -1)
    assert first.link is not None and (first.link.target, first.link.created) == (PLAN, OLD)


def test_a_damaged_list_costs_times_but_not_the_links() -> None:
    raw = blobs.destinations([(PLAN, LATER, 1, blobs.link(PLAN)), ("x" * 60, LATER, 1, b"")])
    at = raw.index("x".encode("utf-16-le") * 60) - 2
    found, problems = jump_lists.automatic(raw[:at] + b"\xff\xff" + raw[at + 2 :])
    assert [one.path for one in found] == [PLAN] and problems == ["1 of 2 destinations could be read"]
    found, problems = jump_lists.automatic(blobs.compound({"a": blobs.link(PLAN)}))
    assert [(one.path, one.opened) for one in found] == [(PLAN, None)] and "no list" in problems[0]


def test_custom_lists_have_links_with_arguments() -> None:
    raw = blobs.custom([blobs.link("C:\\a.exe", "--new"), blobs.link("C:\\a.exe", "--other")])
    assert [one.link.arguments for one in jump_lists.custom(raw) if one.link] == ["--new", "--other"]
    with pytest.raises(EvidenceError, match="custom jump list"):
        jump_lists.custom(raw[:-4] + b"abcd")


def test_streams_of_any_size_and_chains_that_run_in_circles() -> None:
    streams = {"small": b"s" * 100, "large": bytes(range(256)) * 600, "edge": b"e" * 4096, "empty": b""}
    raw = blobs.compound(streams)
    assert dict(CompoundFile(raw).streams()) == streams
    with pytest.raises(EvidenceError):
        CompoundFile(b"PK" + raw)
    for at in range(24, 512, 4):  # every field of the header, and what it leads to
        for value in (b"\0\0\0\0", b"\x01\0\0\0", b"\xff\xff\xff\xff"):
            try:
                file = CompoundFile(raw[:at] + value + raw[at + 4 :])
            except EvidenceError:
                continue
            assert sum(len(content) for _, content in file.streams()) <= 5 * len(raw)
