"""The ``memory`` command: symbol table from the kernel's own files, Volatility plugins, rules."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

from forensic_toolkit.errors import EvidenceError, SymbolError
from forensic_toolkit.printable import printable
from forensic_toolkit.readers.process_tree import process_tree
from forensic_toolkit.readers.processes import processes
from forensic_toolkit.results import Results, ToolRun
from forensic_toolkit.rules import memory_rules, memory_search, windows_memory_rules, yara_rules
from forensic_toolkit.runners import volatility
from forensic_toolkit.symbols import isf, windows_symbols

FACTS = ("btf", "kallsyms", "version")
TABLE = "symbols"  # of the symbol library, .json.xz
LIME_MAGIC = b"EMiL"
WINDOWS = "windows"
# Without the process list no other result can be trusted.
ESSENTIAL = {"linux": "linux.pslist.PsList", "windows": "windows.pslist.PsList"}
# Plugins that give no rows on a healthy machine; no rows from any other plugin is a gap.
MAY_BE_EMPTY = (
    "Bash",
    "CheckFtrace",
    "Check_afinfo",
    "Check_creds",
    "Check_modules",
    "EBPF",
    "Hidden_modules",
    "HollowProcesses",
    "Keyboard_notifiers",
    "Malfind",
    "Netfilter",
    "ProcessGhosting",
    "Ptrace",
    "SuspiciousThreads",
    "SvcDiff",
    "Tty_Check",
    "VadYaraScan",
    "VmaYaraScan",
)


def analyse(
    results: Results,
    *,
    files: Mapping[str, Path],
    work: Path,
    raw: Path,
    platform: str = "linux",
    profile: str = "quick",
) -> None:
    """Fill ``results`` from the image and the kernel's files. Raises ToolkitError when the image cannot be analysed at all.

    Without a matching symbol table the image is searched for command lines and YARA matches, and a gap says so.
    """
    image = files["memory"]
    check_format(image, size=results.input_bytes, platform=platform)
    try:
        if platform == WINDOWS:
            symbols = windows_symbols.prepare(files, work=work)
        else:
            symbols = prepare_symbols(files, work=work, results=results)
        analysis = volatility.analyse(
            image,
            symbols=symbols,
            yara=yara_rules.text(),
            work=work,
            raw=raw,
            platform=platform,
            profile=profile,
            seconds=results.seconds_left(),
        )
        _apply_rules(analysis, platform=platform, results=results)
    except SymbolError as error:
        _without_symbols(image, why=error, platform=platform, results=results)


def _apply_rules(analysis: volatility.Analysis, *, platform: str, results: Results) -> None:
    results.runs.extend(analysis.runs)
    _record_gaps(analysis, results=results)
    essential = ESSENTIAL[platform]
    if not analysis.rows.get(essential):
        reason = next((run.error for run in analysis.runs if run.argv == [essential]), None) or "it returned no rows"
        raise SymbolError(f"Volatility cannot read the list of processes: {printable(reason)}")
    chosen = windows_memory_rules if platform == WINDOWS else memory_rules
    for name, rule in chosen.rules(analysis.rows):
        results.apply(name, rule=rule)
    results.events.extend(chosen.events(analysis.rows))
    if platform != WINDOWS:
        results.processes = [(p.pid, p.comm, p.started) for p in processes(analysis.rows).values()]
    _grow_tree(analysis, windows=platform == WINDOWS, results=results)
    results.counts |= {
        "processes": len(analysis.rows[essential]),
        "plugins": len(analysis.runs),
        "plugins_failed": len(analysis.failed()),
    }


def _grow_tree(analysis: volatility.Analysis, *, windows: bool, results: Results) -> None:
    """The tree of processes; one that cannot be made of a crafted image is a gap, as a rule that fails."""
    try:
        results.process_tree, known = process_tree(analysis.rows, findings=results.findings, windows=windows)
    except Exception as error:
        results.gap("process tree", f"it could not be made: {type(error).__name__}: {error}")
        return
    if known > len(results.process_tree):
        results.note(
            "process tree", f"{known} processes; it has {len(results.process_tree)}, those that findings name first"
        )


def _without_symbols(image: Path, *, why: SymbolError, platform: str, results: Results) -> None:
    what = "put its table into the offline store (docs/investigation.md)"
    if platform != WINDOWS:
        found = memory_search.banners(image)
        if not found:
            raise SymbolError(
                f"{why}; and the image holds no kernel banner: it is not Linux memory, or damaged"
            ) from why
        results.counts["banners"] = len(found)
        kernel = printable(found[0], limit=80)  # its release; what to do next must not be cut off
        what = f"the image is of the kernel '{kernel}': build a table for it (DAG symbol_library)"
    words = f"{why}; {what}, then clear this task. Command lines and YARA-X rules were searched without symbols"
    # Before the plugins' own messages, because long reasons are cut off at the end.
    results.gaps.insert(0, ("processes, connections, modules", words))
    memory_search.analyse(image, results=results)


def check_format(image: Path, *, size: int, platform: str = "linux") -> None:
    """Raises EvidenceError for an empty image, and for a Linux image that is not in LiME format."""
    with image.open("rb") as file:
        head = file.read(4)
    if size == 0 or (head != LIME_MAGIC and platform != WINDOWS):
        shown = head.hex() or "nothing"
        raise EvidenceError(f"the memory image is not a LiME image: it begins with {shown}, {size} bytes in all")


def prepare_symbols(files: Mapping[str, Path], *, work: Path, results: Results) -> Path:
    """A folder with a symbol table for this kernel: built from its own files, else taken from the symbol library.

    Raises SymbolError with the reason when there is none.
    """
    folder = work / "tables" / "linux"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return _from_facts(files, folder=folder, results=results)
    except SymbolError as error:
        if TABLE not in files:
            raise SymbolError(f"no symbol table: {error}, and the symbol library has none for it") from error
        why = printable(str(error))
    try:
        _from_library(files, folder=folder, results=results)
    except SymbolError as error:
        raise SymbolError(f"no symbol table: {why}; {error}") from error
    results.counts["symbols_of_library"] = 1
    return folder.parent


def _from_facts(files: Mapping[str, Path], *, folder: Path, results: Results) -> Path:
    missing = [name for name in FACTS if name not in files]
    if missing:
        raise SymbolError(f"the capture has no {', '.join(missing)} of this kernel")
    facts = isf.KernelFacts(**{name: files[name].read_bytes() for name in FACTS})
    check_banner(files["memory"], banner=facts.banner)
    table = isf.build(facts)
    (folder / "kernel.json").write_bytes(isf.dump(table))
    results.counts["symbols"] = len(table["symbols"])
    results.runs.append(ToolRun("forensic-toolkit symbols", "1", list(FACTS), 0, 0.0, len(table["symbols"])))
    return folder.parent


def _from_library(files: Mapping[str, Path], *, folder: Path, results: Results) -> None:
    table = isf.load(files[TABLE])
    check_banner(files["memory"], banner=isf.banner_of(table))
    (folder / "kernel.json").write_bytes(isf.dump(table))
    results.counts["symbols"] = len(table["symbols"])
    results.runs.append(ToolRun("forensic-toolkit symbols", "1", ["library"], 0, 0.0, len(table["symbols"])))


def check_banner(image: Path, *, banner: bytes) -> None:
    """Raises SymbolError when the image comes from a different kernel than ``banner``."""
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content.find(banner.rstrip(b"\n")) < 0:
            raise SymbolError(
                f"the image does not hold this kernel's banner '{printable(banner, limit=120)}': "
                "image and kernel files come from different machines"
            )


def _record_gaps(analysis: volatility.Analysis, *, results: Results) -> None:
    for run in analysis.failed():
        results.gap(run.argv[0], run.error or "no reason given")
    for name, rows in analysis.rows.items():
        if not rows and not name.endswith(MAY_BE_EMPTY):
            results.gap(name, "the plugin succeeded but returned no rows")
