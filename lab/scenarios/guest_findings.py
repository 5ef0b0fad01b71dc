"""What the investigation finds in a guest's image: the toolkit's own table from the guest's BTF, every plugin, the rules on memory."""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.paths import ROOT
from lab.scenarios.guest_table import cell, every_plugin
from lab.tools.memory.vm import ATTACKER, C2_PORT

# What the toolkit says of a kernel without CONFIG_KALLSYMS_ALL.
NO_DATA = "kallsyms lists no data"
PROCESS, SHELL_LINE, MODULE = "kworker/u8:3", "HISTFILE=/dev/null", "lab_hidden"
# The time limits are for a machine that does nothing else; here they would only measure what else is running.
_ANALYSE = """
import json, sys
from pathlib import Path
from forensic_toolkit.runners import volatility
from forensic_toolkit.rules import memory_rules, yara_rules
lists = volatility.plugin_lists("linux", profile="full")
volatility.plugin_lists = lambda *_args, **_more: [[(name, 3600.0) for name, _ in plugins] for plugins in lists]
image, symbols, work = map(Path, sys.argv[1:])
found = volatility.analyse(image, symbols=symbols, yara=yara_rules.text(), work=work, raw=work / "raw")
titles = [finding.title for finding in memory_rules.findings(found.rows)]
print(json.dumps({"rows": found.rows, "errors": {run.argv[0]: run.error for run in found.runs}, "titles": titles}))
"""


@dataclass(frozen=True)
class Findings:
    """The symbols in the table; rows and error of each plugin; titles of the findings."""

    symbols: int
    rows: dict[str, list[dict[str, Any]]]
    errors: dict[str, str | None]
    titles: list[str]

    @property
    def planted(self) -> dict[str, bool]:
        """Whether what the intruder left is there."""
        connections = [str(row) for row in self.rows.get("linux.sockstat.Sockstat", [])]
        return {
            "planted process": PROCESS in str(self.rows.get("linux.psaux.PsAux", [])),
            "planted socket": any(ATTACKER in row and str(C2_PORT) in row for row in connections),
            "planted shell line": SHELL_LINE in str(self.rows.get("linux.bash.Bash", [])),
            "hidden module": any(MODULE in title and "hidden" in title.lower() for title in self.titles),
            "deleted program": any(title.endswith("runs a deleted executable") for title in self.titles),
        }

    @property
    def cells(self) -> dict[str, str]:
        """The column of the table in docs/kernels.md."""
        plugins = {
            name: cell(len(self.rows[name]) if name in self.rows else None, self.errors.get(name))
            for name in every_plugin()
        }
        planted = {name: "found" if there else "missing" for name, there in self.planted.items()}
        return {"symbols in the table": str(self.symbols), **planted, **plugins}


def examine(image: Path, *, facts: Path, work: Path, packages: Callable[[Path], Path] | None = None) -> Findings:
    """Make the table and run the plugins, each in the toolkit's own environment; ``facts`` holds fact-btf and others.

    ``packages``: puts the kernel's debug package into a folder; for a kernel that lists no data symbols, as the symbol library does.
    """
    table = work / "symbols" / "linux" / "guest.json.xz"
    table.parent.mkdir(parents=True)
    try:
        made = _toolkit(
            work, "-m", "forensic_toolkit", "symbols", "--btf", str(facts / "fact-btf"),
            "--kallsyms", str(facts / "fact-kallsyms"), "--kernel-version", str(facts / "fact-version"), "--output", str(table),
        )  # fmt: skip
    except RuntimeError as error:
        if packages is None or NO_DATA not in str(error):
            raise
        return examine_by_debug_package(image, work=work, packages=packages)
    return _analysed(image, symbols=work / "symbols", work=work, made=made)


def examine_by_debug_package(image: Path, *, work: Path, packages: Callable[[Path], Path]) -> Findings:
    """The same with a table of the kernel's debug information, in a folder of its own."""
    folder = work / "debug"
    table = folder / "tables" / "linux" / "guest.json.xz"
    table.parent.mkdir(parents=True)
    made = _toolkit(work, "-m", "forensic_toolkit.symbols.kernel_package", str(packages(folder)), str(folder))
    (folder / "symbols").rename(table)
    return _analysed(image, symbols=folder / "tables", work=folder, made=made)


def _analysed(image: Path, *, symbols: Path, work: Path, made: str) -> Findings:
    home = work / "analysis"
    home.mkdir()
    found = json.loads(_toolkit(home, "-c", _ANALYSE, str(image), str(symbols), str(home)).splitlines()[-1])
    count = int(json.loads(made.splitlines()[-1])["symbols"])
    return Findings(count, found["rows"], found["errors"], found["titles"])


def differences(ours: Findings, others: Findings) -> dict[str, str]:
    """Plugins whose rows are not the same with two tables of one kernel: what each gave."""
    wrong = {}
    for name in every_plugin():
        mine, theirs = ours.rows.get(name), others.rows.get(name)
        if mine != theirs:
            only = [row for row in mine or [] if row not in (theirs or [])]
            more = [row for row in theirs or [] if row not in (mine or [])]
            said = [ours.errors.get(name), others.errors.get(name)]
            wrong[name] = (
                f"{len(only)} rows by the facts alone, {len(more)} by the debug package alone; errors {said}; first {str((only or more)[:1])[:300]}"
            )
    return wrong


def _toolkit(work: Path, *arguments: str) -> str:
    python = ROOT / ".venv-tools" / "bin" / "python"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "ami/toolkit/src"), "HOME": str(work)}
    done = subprocess.run([str(python), *arguments], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the toolkit ended with {done.returncode}: {done.stdout[-500:]} {done.stderr[-1500:]}")
    return done.stdout


def process_members(archive: bytes) -> dict[str, bytes]:
    """What a live response holds of single processes: name to content."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            member.name: file.read()
            for member in tar
            if "29-process-" in member.name and (file := tar.extractfile(member)) is not None
        }
