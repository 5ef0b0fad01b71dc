"""Volatility 3 as a program: which plugins run, in which lane, for how long; their rows and failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from forensic_toolkit import subprograms
from forensic_toolkit.results import ToolRun

Row = dict[str, Any]
LANE_LIMIT = 600.0

# Plugins with their time limits in seconds. Two lanes run at once, each in its own process: the second one
# repeats the search for the kernel (about 5 s) and still wins, as malfind and sockstat take most of the time.
# psscan, pagecache, library_list and kallsyms are left out: minutes, for little that the others do not show.
LANES: tuple[tuple[tuple[str, float], ...], ...] = (
    (
        ("linux.pslist.PsList", 60),
        ("linux.psaux.PsAux", 60),
        ("linux.malware.process_spoofing.ProcessSpoofing", 60),
        ("linux.bash.Bash", 120),
        ("linux.malware.malfind.Malfind", 180),
        ("linux.pstree.PsTree", 60),
        ("linux.envars.Envars", 60),
        ("linux.ptrace.Ptrace", 60),
        ("linux.malware.check_creds.Check_creds", 60),
        ("linux.pidhashtable.PIDHashTable", 60),
        ("linux.ebpf.EBPF", 60),
    ),
    (
        ("linux.sockstat.Sockstat", 180),
        ("linux.lsof.Lsof", 180),
        ("linux.boottime.Boottime", 30),
        ("linux.kmsg.Kmsg", 60),
        ("linux.lsmod.Lsmod", 30),
        ("linux.malware.check_modules.Check_modules", 60),
        ("linux.malware.modxview.Modxview", 60),
        ("linux.malware.check_idt.Check_idt", 60),
        ("linux.malware.tty_check.Tty_Check", 60),
        ("linux.malware.netfilter.Netfilter", 60),
        ("linux.malware.keyboard_notifiers.Keyboard_notifiers", 60),
        ("linux.malware.check_syscall.Check_syscall", 60),
    ),
)


@dataclass(slots=True)
class Analysis:
    """What the plugins gave: rows by plugin, and a record for each plugin that was to run."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    runs: list[ToolRun] = field(default_factory=list)

    def failed(self) -> list[ToolRun]:
        """The plugins without a result."""
        return [run for run in self.runs if run.error is not None]


def version() -> str:
    """The installed version of volatility3, or ``absent``."""
    try:
        return metadata.version("volatility3")
    except metadata.PackageNotFoundError:
        return "absent"


def analyse(image: Path, *, symbols: Path, work: Path, raw: Path) -> Analysis:
    """Run all lanes at once. Rows and the programs' own output are kept in ``raw``."""
    raw.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    lanes = []
    for number, plugins in enumerate(LANES, start=1):
        cache = work / f"cache{number}"
        cache.mkdir(exist_ok=True)
        job = work / f"lane{number}.json"
        places = {
            "image": str(image.resolve()),
            "symbols": str(symbols),
            "cache": str(cache),
            "out": str(raw),
        }
        job.write_text(json.dumps({**places, "plugins": plugins}), encoding="utf-8")
        argv = [sys.executable, "-m", "forensic_toolkit.volatility_runner", str(job)]
        log = raw / f"lane{number}.jsonl"
        lanes.append((plugins, log, _start(argv, work=cache, log=log)))
    analysis = Analysis()
    for plugins, log, process in lanes:
        ended = subprograms.finish(process, stdout=log, seconds=LANE_LIMIT, started=started)
        _collect(analysis, plugins=plugins, log=log, ended=ended, raw=raw)
    return analysis


def _start(argv: list[str], *, work: Path, log: Path) -> subprocess.Popen[bytes]:
    # Half of the machine each; Python and the image's pages together need far less.
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return subprograms.start(argv, folder=work, stdout=log, memory_bytes=max(4 << 30, memory))


def _collect(
    analysis: Analysis,
    *,
    plugins: tuple[tuple[str, float], ...],
    log: Path,
    ended: subprograms.Ended,
    raw: Path,
) -> None:
    reports = {report["plugin"]: report for report in map(json.loads, log.read_text("utf-8").splitlines())}
    for name, _limit in plugins:
        report = reports.get(name)
        if report is None:
            error = f"the analysis program ended before this plugin: {ended.error or 'no reason given'}"
            analysis.runs.append(ToolRun("volatility3", version(), [name], ended.exit or 1, 0.0, None, error))
            continue
        error = report["error"]
        if error is None:
            analysis.rows[name] = json.loads((raw / f"{name}.json").read_text("utf-8"))
        analysis.runs.append(
            ToolRun(
                "volatility3",
                version(),
                [name],
                int(error is not None),
                report["seconds"],
                report["rows"],
                error,
            )
        )
