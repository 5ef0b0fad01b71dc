"""Shortcuts (.lnk) in the forms in which Windows writes them. The reader was also held against shortcuts of Windows 7, 2012 and 11."""

from __future__ import annotations

import pytest

from forensic_toolkit.readers import shell_links
from tests.toolkit import shortcut_blobs as blobs
from tests.toolkit.fake_tree import INSTALLED, LATER

POWERSHELL = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"


def test_what_a_shortcut_starts_and_what_its_target_was() -> None:
    raw = blobs.link(POWERSHELL, "-nop -enc SQBFAFgA", icon="C:\\a.ico", created=INSTALLED, written=LATER)
    found = shell_links.parsed(raw)
    assert found is not None
    assert (found.target, found.arguments, found.name) == (POWERSHELL, "-nop -enc SQBFAFgA", "powershell.exe")
    assert (found.created, found.written, found.machine, found.icon) == (INSTALLED, LATER, "web01", "C:\\a.ico")
    assert (found.length, found.size, found.working) == (len(raw), 4096, "C:\\")


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        (blobs.link("tools\\ä.exe", share="\\\\files\\share"), "\\\\files\\share\\tools\\ä.exe"),
        (blobs.link(items="C:\\Windows\\a long name.exe"), "C:\\Windows\\a long name.exe"),
        (blobs.link(variables="%ComSpec%"), "%ComSpec%"),
        (blobs.link("C:\\Ünïcødé\\д.exe"), "C:\\Ünïcødé\\д.exe"),
    ],
)
def test_a_target_by_share_ids_or_variables(raw: bytes, target: str) -> None:
    found = shell_links.parsed(raw)
    assert found is not None and found.target == target


def test_what_lies_behind_the_end_is_not_part_of_it() -> None:
    raw = blobs.link(POWERSHELL)
    found = shell_links.parsed(raw + b"MZ" + bytes(9000))
    assert found is not None and found.length == len(raw)


def test_any_cut_and_any_changed_byte_gives_a_link_or_nothing() -> None:
    raw = blobs.link(POWERSHELL, "-c x", items="C:\\Windows\\a.exe", variables="%windir%\\a.exe", created=LATER)
    for end in range(len(raw)):
        shell_links.parsed(raw[:end])
    for at in range(20, len(raw), 3):
        found = shell_links.parsed(raw[:at] + b"\xff" + raw[at + 1 :])
        assert found is not None and found.length <= len(raw)
    assert shell_links.parsed(b"MZ" + raw) is None
