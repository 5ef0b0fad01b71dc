"""What the investigation finds in a guest's image: the toolkit's own table from the guest's BTF, every plugin of the quick set."""

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
from lab.scenarios.guest_table import cell, quick_plugins
from lab.tools.memory.vm import ATTACKER, C2_PORT

# What the toolkit says of a kernel without CONFIG_KALLSYMS_ALL.
NO_DATA = "kallsyms lists no data"
PROCESS, SHELL_LINE = "kworker/u8:3", "HISTFILE=/dev/null"
# The time limits are for a machine that does nothing else; here they would only measure what else is running.
_ANALYSE = """
import json, sys
from pathlib import Path
from forensic_toolkit.runners import volatility
from forensic_toolkit.rules import yara_rules
lists = volatility.plugin_lists("linux")
volatility.plugin_lists = lambda *_args, **_more: [[(name, 3600.0) for name, _ in plugins] for plugins in lists]
image, symbols, work = map(Path, sys.argv[1:])
found = volatility.analyse(image, symbols=symbols, yara=yara_rules.text(), work=work, raw=work / "raw")
print(json.dumps({"rows": found.rows, "errors": {run.argv[0]: run.error for run in found.runs}}))
"""


@dataclass(frozen=True)
class Findings:
    """The symbols in the table; rows and error of each plugin."""

    symbols: int
    rows: dict[str, list[dict[str, Any]]]
    errors: dict[str, str | None]

    @property
    def planted(self) -> dict[str, bool]:
        """Whether what the intruder left is there."""
        connections = [str(row) for row in self.rows.get("linux.sockstat.Sockstat", [])]
        return {
            "planted process": PROCESS in str(self.rows.get("linux.psaux.PsAux", [])),
            "planted socket": any(ATTACKER in row and str(C2_PORT) in row for row in connections),
            "planted shell line": SHELL_LINE in str(self.rows.get("linux.bash.Bash", [])),
        }

    @property
    def cells(self) -> dict[str, str]:
        """The column of the table in docs/kernels.md."""
        plugins = {
            name: cell(len(self.rows[name]) if name in self.rows else None, self.errors.get(name))
            for name in quick_plugins()
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
        folder = work / "debug"
        folder.mkdir()
        made = _toolkit(work, "-m", "forensic_toolkit.symbols.kernel_package", str(packages(folder)), str(folder))
        (folder / "symbols").rename(table)
    found = json.loads(_toolkit(work, "-c", _ANALYSE, str(image), str(work / "symbols"), str(work)).splitlines()[-1])
    symbols = int(json.loads(made.splitlines()[-1])["symbols"])
    return Findings(symbols, found["rows"], found["errors"])


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
