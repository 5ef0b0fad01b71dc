"""A debug package of the lab's kernel, from package to findings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensic_toolkit.symbols import isf
from lab.evidence import memory as lab_memory
from tests.toolkit import kernel_blob
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

_ANALYSE = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit.commands import memory
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

results = Results("fc-20260101-0123456789", "mem-1", "memory", started=now())
results.input_bytes = 1
with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    files = {"memory": Path(sys.argv[1]), "symbols": Path(sys.argv[2])}
    memory.analyse(results, files=files, work=work, raw=work / "raw")
print(json.dumps(results.as_dict(ended=now())))
"""


@pytest.mark.investigate
@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_a_package_of_the_labs_kernel_makes_its_image_readable(tmp_path: Path) -> None:
    files = lab_memory.unpack(tmp_path)
    kernel = kernel_blob.vmlinux(
        btf=files.btf.read_bytes(), kallsyms=unslid(files.kallsyms.read_bytes()), version=files.version.read_bytes()
    )
    (tmp_path / "package").write_bytes(kernel_blob.deb(kernel))
    made = tmp_path / "made"
    made.mkdir()
    run(
        "import sys; from forensic_toolkit.symbols import kernel_package; kernel_package.main(['', *sys.argv[1:]])",
        str(tmp_path / "package"),
        str(made),
    )
    found = json.loads(run(_ANALYSE, str(files.memory), str(made / "symbols")))
    print(
        f"\n[investigate] memory with a table of the library: {found['counts']['findings']} findings, {found['gaps']}"
    )
    assert found["gaps"] == []
    assert found["counts"]["symbols_of_library"] == 1
    assert any(item["technique"] == "T1014" for item in found["findings"])


def unslid(kallsyms: bytes) -> bytes:
    """Addresses as the kernel was linked, without the modules: what a vmlinux has."""
    lines = [line.split() for line in kallsyms.decode().splitlines()]
    slide = next(int(line[0], 16) for line in lines if line[2] == "_text") - isf.LINK_ADDRESS
    moved = [(int(line[0], 16), line[2]) for line in lines if len(line) == 3]
    return "".join(
        f"{address - slide if address >= isf.KERNEL_SPACE else address:016x} T {name}\n" for address, name in moved
    ).encode()
