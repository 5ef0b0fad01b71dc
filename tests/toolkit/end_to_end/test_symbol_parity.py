"""Symbols from the kernel's own BTF against those from debug information: the same rows from every plugin.

The table from debug information was built by dwarf2json 0.9.0 from Debian's linux-image-6.1.0-56-cloud-amd64-dbg, the
kernel of the lab's image. FORENSIC_PARITY_IMAGE (LiME, of the same kernel) names a further image to compare on.
"""

from __future__ import annotations

import base64
import json
import lzma
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.evidence import memory
from tests.toolkit.examined import NO_TOOLS, TOOLS, run

pytestmark = [pytest.mark.investigate, pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)]
DEBUG = Path(__file__).parents[1] / "data" / "linux-6.1.0-56-cloud-amd64.debug.json.xz"
FURTHER = os.environ.get("FORENSIC_PARITY_IMAGE")
# Plugins whose answers differ, and why: (reason, whether it is that difference and no other). All else is a fault.
KNOWN: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "linux.kthreads.Kthreads": (
        "a name that the kernel has twice ('watchdog') is kept with the one or the other of its addresses",
        lambda one, other: _without(one, "Symbol") == _without(other, "Symbol"),
    ),
    "linux.capabilities.Capabilities": (
        "Volatility does not know how the debug information writes kernel_cap_t of Linux 6.1; with BTF it gives all rows",
        lambda one, other: one is None and bool(other),
    ),
}
_ANALYSE = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit.rules import yara_rules
from forensic_toolkit.runners import volatility

with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    places = {"symbols": Path(sys.argv[2]), "work": work, "raw": work / "raw"}
    found = volatility.analyse(Path(sys.argv[1]), yara=yara_rules.text(), profile=sys.argv[3], **places)
runs = {run.argv[0]: run.error for run in found.runs}
print(json.dumps({"rows": found.rows, "errors": runs}))
"""
# The same program, Volatility as it is: only that it takes this toolkit's tables for those of dwarf2json.
_UNCHANGED = """
import sys
from forensic_toolkit.runners import volatility_runner, volatility_shortcuts

volatility_shortcuts.apply = lambda _symbols: volatility_shortcuts.accept_own_tables()
sys.exit(volatility_runner.main(["", sys.argv[1]]))
"""
_TABLE = """
import lzma, sys
from pathlib import Path
from forensic_toolkit.symbols import isf
folder = Path(sys.argv[1])
facts = isf.KernelFacts(**{name: (folder / name).read_bytes() for name in ("btf", "kallsyms", "version")})
Path(sys.argv[2]).write_bytes(lzma.compress(isf.dump(isf.build(facts)), preset=0))
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> memory.MemoryFiles:
    """The lab's image and its kernel's facts."""
    return memory.unpack(tmp_path_factory.mktemp("memory"))


@pytest.fixture(scope="module")
def btf_table(lab: memory.MemoryFiles) -> Path:
    """The table from the kernel's own facts, as an investigation builds it."""
    made = lab.memory.with_name("btf.json.xz")
    run(_TABLE, str(lab.memory.parent), str(made))
    return made


def _without(rows: list[dict[str, Any]] | None, column: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != column} for row in rows or []]


def analysed(image: Path, table: Path, folder: Path, *, profile: str = "full") -> dict[str, Any]:
    """Rows and errors of every plugin with one table."""
    place = folder / table.name / "linux"
    place.mkdir(parents=True)
    shutil.copy(table, place / "kernel.json.xz")
    answer: dict[str, Any] = json.loads(run(_ANALYSE, str(image), str(place.parent), profile, seconds=3000))
    return answer


def test_both_tables_are_of_the_labs_kernel(lab: memory.MemoryFiles, btf_table: Path) -> None:
    for table in (DEBUG, btf_table):
        coded = json.loads(lzma.decompress(table.read_bytes()))["symbols"]["linux_banner"]["constant_data"]
        assert base64.b64decode(coded).rstrip(b"\0\n") == lab.version.read_bytes().rstrip(b"\n"), (
            f"{table.name} is of another kernel than the lab's image: rebuild it from that kernel's debug package"
        )


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("given", ["lab", *([FURTHER] if FURTHER else [])])
def test_every_plugin_gives_the_same_rows(given: str, lab: memory.MemoryFiles, btf_table: Path, tmp_path: Path) -> None:
    image = lab.memory if given == "lab" else Path(given)
    with_debug, with_btf = analysed(image, DEBUG, tmp_path), analysed(image, btf_table, tmp_path)
    assert set(with_debug["errors"]) == set(with_btf["errors"])
    unexplained, counts = {}, {"same": 0, "explained": 0}
    for plugin in sorted(with_debug["errors"]):
        one, other = with_debug["rows"].get(plugin), with_btf["rows"].get(plugin)
        errors = with_debug["errors"][plugin], with_btf["errors"][plugin]
        same = one == other and errors[0] == errors[1]
        reason, fits = KNOWN.get(plugin, ("unexplained", lambda _one, _other: False))
        word = "same" if same else f"DIFFERENT: {reason}"
        print(
            f"\n[investigate] {given} {plugin}: {len(one or [])} and {len(other or [])} rows, {word} {errors if any(errors) else ''}",
            end="",
        )
        counts["same" if same else "explained"] += 1
        if not same and not fits(one, other):
            lost = [row for row in one or [] if row not in (other or [])]
            added = [row for row in other or [] if row not in (one or [])]
            unexplained[plugin] = (errors, lost[:2], added[:2])
    print(
        f"\n[investigate] {given}: {counts['same']} of {len(with_debug['errors'])} plugins give the same rows with both tables"
    )
    assert unexplained == {}


def test_the_labs_kernel_gives_rows_with_its_own_btf(lab: memory.MemoryFiles, btf_table: Path, tmp_path: Path) -> None:
    found = analysed(lab.memory, btf_table, tmp_path, profile="quick")
    failed = {name: error for name, error in found["errors"].items() if error}
    print(f"\n[investigate] memory: {len(found['errors'])} plugins, failed: {failed}")
    assert failed == {}
    assert all(found["rows"][f"linux.{name}"] for name in ("pslist.PsList", "lsmod.Lsmod", "sockstat.Sockstat"))


def test_the_shortcuts_change_no_row(lab: memory.MemoryFiles, btf_table: Path, tmp_path: Path) -> None:
    quick = analysed(lab.memory, btf_table, tmp_path, profile="quick")
    place = tmp_path / "unchanged"
    (place / "cache").mkdir(parents=True)
    names = list(quick["errors"])
    job = {
        "image": str(lab.memory), "symbols": str(tmp_path / btf_table.name), "cache": str(place / "cache"), "out": str(place),
        "lists": [[[name, 3600] for name in names]], "logs": [str(place / "log")], "options": {},
    }  # fmt: skip
    (place / "job.json").write_text(json.dumps(job))
    run(_UNCHANGED, str(place / "job.json"), seconds=3000)
    assert len(names) > 20
    for name in names:
        assert json.loads((place / f"{name}.json").read_text()) == quick["rows"][name], name
