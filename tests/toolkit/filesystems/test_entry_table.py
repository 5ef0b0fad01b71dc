"""Entries in columns are the entries that were put in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forensic_toolkit.filesystems.entries import Entry, Times
from forensic_toolkit.filesystems.entry_table import EntryTable
from tests.toolkit.fake_tree import Contents

CONTENTS = Contents({1: b"one"})
PLAIN = Entry("/a/b", 1, "REG", 0o100644, 1000, 4294967294, 3, Times(1, 2, 3, 4), False, filesystem=CONTENTS)  # type: ignore[arg-type]
ENTRIES = [
    PLAIN,
    replace(PLAIN, path="/a", kind="DIR", inode=2**63, times=Times(-5, 0, 0, 0)),
    replace(PLAIN, path="/a/b", inode=9, kind="LNK", filesystem=None),
    replace(PLAIN, path="/a/gone", deleted=True, reused=True),
    # crafted: a size below zero, a time beyond the year 2262, an owner of more than 32 bits
    replace(PLAIN, path="/a/odd", size=-1),
    replace(PLAIN, path="/a/late", times=Times(2**63, 0, 0, 2**70)),
    replace(PLAIN, path="/a/owner", uid=2**32),
    replace(PLAIN, path="/a/inode", inode=2**64),
    replace(PLAIN, path="/a/kind", kind="?"),
    replace(PLAIN, path="/top"),
]


def test_what_goes_in_comes_out() -> None:
    table = EntryTable(ENTRIES)
    assert list(table) == ENTRIES == table[:]
    assert (len(table), table[-1], table[3:5]) == (len(ENTRIES), ENTRIES[-1], ENTRIES[3:5])
    assert table.filesystems() == [CONTENTS]
    with pytest.raises(IndexError):
        table[len(ENTRIES)]


def test_paths_folders_and_kinds_know_what_exists() -> None:
    table = EntryTable(ENTRIES)
    assert [table.find(path) for path in ("/a/b", "/a", "/a/gone", "/nowhere")] == [0, 1, None, None]
    assert [entry.path for entry in table.children("/a")] == [
        "/a/b", "/a/b", "/a/odd", "/a/late", "/a/owner", "/a/inode", "/a/kind",
    ]  # fmt: skip
    assert [entry.path for entry in table.children("")] == ["/a", "/top"]
    assert [entry.path for entry in table.matching(lambda path: path.endswith("b"), "REG")] == ["/a/b"]
    # a later one at the same path is hidden by the first, as where two file systems are mounted at one place
    assert list(table.matching(lambda path: path.endswith("b"), "LNK")) == []
    assert list(table.of_kind("DIR")) == ["/a"]


def test_what_was_seen_is_seen_in_every_look() -> None:
    table = EntryTable(ENTRIES)
    assert table[0].read() == b"one"
    assert [entry.seen for entry in table][:3] == [True, False, False]
    table[2].seen = True
    assert table[2].seen and not ENTRIES[2].seen


def test_an_index_grows_with_the_table() -> None:
    table = EntryTable(ENTRIES[:1])
    assert table.find("/top") is None and table.children("") == []
    table.extend(ENTRIES[9:])
    assert table.find("/top") == 1 and table.children("") == [ENTRIES[9]]


def test_two_names_with_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forensic_toolkit.filesystems.entry_table.hash", lambda _: 7, raising=False)
    table = EntryTable(ENTRIES)
    assert [table.find(path) for path in ("/top", "/a/b", "/b")] == [9, 0, None]
