"""A memory image without a symbol table: partial, with the reason, and with what needs no symbols."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from lab.evidence import memory as lab_memory
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

# Made by dwarf2json from the debug package of the image's kernel, as the symbol library would hold it (test_symbol_parity.py).
LIBRARY = Path(__file__).parents[1] / "data" / "linux-6.1.0-56-cloud-amd64.debug.json.xz"
ESSENTIAL_GAP = "processes, connections, modules"
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


def hide_addresses(kallsyms: Path) -> None:
    """As root reads it with kernel.kptr_restrict=2 (Linux, Documentation/admin-guide/sysctl/kernel.rst: replaced by 0s)."""
    kallsyms.write_bytes(re.sub(rb"(?m)^[0-9a-f]{16}", b"0" * 16, kallsyms.read_bytes()))


@pytest.mark.investigate
@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
@pytest.mark.parametrize(
    "kept",
    [("btf", "kallsyms", "version"), ("kallsyms", "version")],
    ids=["kptr_restrict=2", "a kernel without BTF"],
)
def test_processes_are_there_by_a_table_of_the_library(kept: tuple[str, ...], tmp_path: Path) -> None:
    """What hides symbols from the capture does not hide the processes: the library's table is of the same kernel."""
    files = lab_memory.unpack(tmp_path)
    if "btf" in kept:
        hide_addresses(tmp_path / "kallsyms")
    shutil.copy(LIBRARY, tmp_path / "symbols")
    found = json.loads(run(_COMMAND, str(files.memory), str(tmp_path), *kept, "symbols"))
    assert found["failure"] is None
    assert ESSENTIAL_GAP not in {gap["what"] for gap in found["gaps"]}
    assert (found["counts"]["symbols_of_library"], found["counts"]["processes"] > 20) == (1, True)
    assert any("kworker/u8:3" in json.dumps(finding) for finding in found["findings"]), "the planted process"


@pytest.mark.investigate
@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_hidden_addresses_without_a_table_are_a_reason_in_one_line(tmp_path: Path) -> None:
    files = lab_memory.unpack(tmp_path)
    hide_addresses(tmp_path / "kallsyms")
    found = json.loads(run(_COMMAND, str(files.memory), str(tmp_path), "btf", "kallsyms", "version"))
    (why,) = (gap["why"] for gap in found["gaps"] if gap["what"] == ESSENTIAL_GAP)
    assert "kernel.kptr_restrict" in why and "the symbol library has none for it" in why
    assert "6.1.0-56-cloud-amd64" in why and "(DAG symbol_library), then clear this task" in why and "\n" not in why
