"""Symbols from the kernel's own BTF against those from debug information: the same rows from every plugin.

A table from debug information needs the distribution's debug package and dwarf2json, so image and table are named by
FORENSIC_PARITY_IMAGE (LiME), FORENSIC_PARITY_DEBUG (ISF, .json.xz) and FORENSIC_PARITY_BTF (ISF, .json.xz).
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lab.evidence import memory
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

pytestmark = [pytest.mark.investigate, pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)]
NAMES = ("FORENSIC_PARITY_IMAGE", "FORENSIC_PARITY_DEBUG", "FORENSIC_PARITY_BTF")
GIVEN = [os.environ.get(name) for name in NAMES]
_ANALYSE = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit import volatility

with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    found = volatility.analyse(Path(sys.argv[1]), symbols=Path(sys.argv[2]), work=work, raw=work / "raw")
runs = {run.argv[0]: run.error for run in found.runs}
print(json.dumps({"rows": found.rows, "errors": runs}))
"""


def analysed(image: Path, table: Path, folder: Path) -> dict[str, Any]:
    """Rows and errors of every plugin with one table."""
    place = folder / table.name / "linux"
    place.mkdir(parents=True)
    shutil.copy(table, place / "kernel.json.xz")
    answer: dict[str, Any] = json.loads(run(_ANALYSE, str(image), str(place.parent)))
    return answer


@pytest.mark.skipif(None in GIVEN, reason=f"set {', '.join(NAMES)} to compare with a table from debug information")
def test_every_plugin_gives_the_same_rows(tmp_path: Path) -> None:
    image, debug, btf = (Path(str(name)) for name in GIVEN)
    with_debug, with_btf = analysed(image, debug, tmp_path / "debug"), analysed(image, btf, tmp_path / "btf")
    differences = {}
    for plugin in sorted({*with_debug["errors"], *with_btf["errors"]}):
        one, other = with_debug["rows"].get(plugin), with_btf["rows"].get(plugin)
        errors = with_debug["errors"].get(plugin), with_btf["errors"].get(plugin)
        same = one == other and errors[0] == errors[1]
        shown = "same" if same else "DIFFERENT"
        print(
            f"\n[investigate] {plugin}: {len(one or [])} and {len(other or [])} rows, {shown} {errors if any(errors) else ''}"
        )
        if not same:
            lost = [row for row in one or [] if row not in (other or [])]
            added = [row for row in other or [] if row not in (one or [])]
            differences[plugin] = (lost[:2], added[:2])
            print(
                f"    only with debug information: {len(lost)} {lost[:2]}\n    only with BTF: {len(added)} {added[:2]}"
            )
    assert differences == {}


def test_the_labs_kernel_gives_rows_with_its_own_btf(tmp_path: Path) -> None:
    program = """
import sys, lzma
from pathlib import Path
from forensic_toolkit import isf
folder = Path(sys.argv[1])
facts = isf.KernelFacts(**{name: (folder / name).read_bytes() for name in ("btf", "kallsyms", "version")})
Path(sys.argv[2]).write_bytes(lzma.compress(isf.dump(isf.build(facts)), preset=0))
print("{}")
"""
    image = tmp_path / "memory.lime"
    memory.unpack(tmp_path)
    run(program, str(tmp_path), str(tmp_path / "table.json.xz"))
    found = analysed(image, tmp_path / "table.json.xz", tmp_path / "work")
    failed = {name: error for name, error in found["errors"].items() if error}
    print(f"\n[investigate] memory: {len(found['errors'])} plugins, failed: {failed}")
    assert failed == {}
    assert all(found["rows"][f"linux.{name}"] for name in ("pslist.PsList", "lsmod.Lsmod", "sockstat.Sockstat"))
