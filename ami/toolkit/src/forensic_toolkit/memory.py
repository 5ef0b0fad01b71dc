"""The ``memory`` command: symbols from the kernel's own facts, plugins, findings."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

from forensic_toolkit import isf, memory_rules, volatility
from forensic_toolkit.errors import EvidenceError, SymbolError
from forensic_toolkit.printable import printable
from forensic_toolkit.results import Results, ToolRun

FACTS = ("btf", "kallsyms", "version")
LIME_MAGIC = b"EMiL"
# Without the list of processes nothing else can be judged.
ESSENTIAL = "linux.pslist.PsList"
# Plugins that find nothing on a healthy machine; everything else with no rows is a gap.
MAY_BE_EMPTY = (
    "Bash",
    "Check_creds",
    "Check_modules",
    "EBPF",
    "Keyboard_notifiers",
    "Malfind",
    "Netfilter",
    "Ptrace",
    "Tty_Check",
)


def analyse(results: Results, *, files: Mapping[str, Path], work: Path, raw: Path) -> None:
    """Fill ``results`` from the image and the kernel's facts. Raises ToolkitError when nothing can be said about it."""
    image = files["memory"]
    check_format(image, size=results.input_bytes)
    symbols = prepare_symbols(files, work=work, results=results)
    analysis = volatility.analyse(image, symbols=symbols, work=work, raw=raw)
    results.runs.extend(analysis.runs)
    _record_gaps(analysis, results=results)
    if ESSENTIAL not in analysis.rows or not analysis.rows[ESSENTIAL]:
        reason = next((run.error for run in analysis.runs if run.argv == [ESSENTIAL]), None) or "it gave no rows"
        raise EvidenceError(f"Volatility cannot read the list of processes: {printable(reason)}")
    for name, rule in memory_rules.rules(analysis.rows):
        results.apply(name, rule=rule)
    results.events.extend(memory_rules.events(analysis.rows))
    results.counts |= {
        "processes": len(analysis.rows[ESSENTIAL]),
        "plugins": len(analysis.runs),
        "plugins_failed": len(analysis.failed()),
    }


def check_format(image: Path, *, size: int) -> None:
    """Raises EvidenceError when the image is empty or no LiME image."""
    with image.open("rb") as file:
        head = file.read(4)
    if size == 0 or head != LIME_MAGIC:
        shown = head.hex() or "nothing"
        raise EvidenceError(f"the memory image is no LiME image: it begins with {shown}, {size} bytes in all")


def prepare_symbols(files: Mapping[str, Path], *, work: Path, results: Results) -> Path:
    """Build the symbol table for this kernel; returns the folder for Volatility. Raises SymbolError."""
    missing = [name for name in FACTS if name not in files]
    if missing:
        raise SymbolError(
            f"no symbol table: the capture has no {', '.join(missing)} of this kernel; "
            "add a table for it to the symbol library and investigate again"
        )
    facts = isf.KernelFacts(**{name: files[name].read_bytes() for name in FACTS})
    check_banner(files["memory"], banner=facts.banner)
    table = isf.build(facts)
    folder = work / "symbols"
    (folder / "linux").mkdir(parents=True, exist_ok=True)
    (folder / "linux" / "kernel.json").write_bytes(isf.dump(table))
    results.counts["symbols"] = len(table["symbols"])
    results.runs.append(ToolRun("forensic-toolkit symbols", "1", list(FACTS), 0, 0.0, len(table["symbols"])))
    return folder


def check_banner(image: Path, *, banner: bytes) -> None:
    """Raises SymbolError when the image is of another kernel than the facts."""
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(banner.rstrip(b"\n")) < 0:
            raise SymbolError(
                f"the image does not hold this kernel's banner '{printable(banner, limit=120)}': "
                "image and kernel facts are of different machines"
            )


def _record_gaps(analysis: volatility.Analysis, *, results: Results) -> None:
    for run in analysis.failed():
        results.gap(run.argv[0], run.error or "no reason given")
    for name, rows in analysis.rows.items():
        if not rows and not name.endswith(MAY_BE_EMPTY):
            results.gap(name, "the plugin ended well and gave no rows")
