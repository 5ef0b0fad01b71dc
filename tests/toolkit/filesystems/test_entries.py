"""Entries of a file system."""

from __future__ import annotations

from forensic_toolkit.filesystems.entries import name_of


def test_a_slash_in_a_name_is_escaped() -> None:
    assert name_of(b"../../x\xff") == "..\\x2f..\\x2fx\\xff"
