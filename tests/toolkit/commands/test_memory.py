"""Which symbol table the memory command takes."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from forensic_toolkit.commands import memory
from forensic_toolkit.errors import SymbolError
from forensic_toolkit.results import Results
from forensic_toolkit.symbols import isf
from forensic_toolkit.times import now
from tests.toolkit import btf_blob

BANNER = b"Linux version 6.99.0-unknown (builder@example) (gcc 14) #1 SMP PREEMPT_DYNAMIC 2026\n"


def results() -> Results:
    return Results("fc-20260101-0123456789", "mem-1", "memory", started=now())


def image_with(folder: Path, *content: bytes) -> Path:
    path = folder / "memory"
    path.write_bytes(b"EMiL" + bytes(60) + b"\0".join(content) + bytes(4096))
    return path


def packed_table(folder: Path, version: bytes) -> Path:
    facts = isf.KernelFacts(btf=btf_blob.small(), kallsyms=btf_blob.kallsyms(), version=version)
    path = folder / "table.json.xz"
    path.write_bytes(lzma.compress(isf.dump(isf.build(facts)), preset=0))
    return path


def test_a_table_of_the_library_is_used_when_the_capture_has_no_facts(tmp_path: Path) -> None:
    image = image_with(tmp_path, btf_blob.VERSION)
    files = {"memory": image, "symbols": packed_table(tmp_path, btf_blob.VERSION)}
    folder = memory.prepare_symbols(files, work=tmp_path, results=results())
    table = json.loads((folder / "linux" / "kernel.json").read_text())
    assert isf.banner_of(table) == btf_blob.VERSION.rstrip(b"\n") + b"\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no xz", "cannot be read"),
        (lzma.compress(b"{}"), "not a symbol table"),
        (lzma.compress(b'{"symbols": {}}' * 9)[:40], "truncated"),
    ],
)
def test_the_reason_why_a_table_cannot_be_used(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    with pytest.raises(SymbolError, match=reason):
        memory.prepare_symbols({"memory": path, "symbols": path}, work=tmp_path, results=results())


def test_a_table_of_another_kernel_is_not_used(tmp_path: Path) -> None:
    files = {"memory": image_with(tmp_path, BANNER), "symbols": packed_table(tmp_path, btf_blob.VERSION)}
    with pytest.raises(SymbolError, match="does not hold this kernel's banner"):
        memory.prepare_symbols(files, work=tmp_path, results=results())
