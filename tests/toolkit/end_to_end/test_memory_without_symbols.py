"""A memory image without a symbol table: partial, with the reason, and with what needs no symbols."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.evidence import memory as lab_memory
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

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
