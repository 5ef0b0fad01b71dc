"""Volatility 3 as a program: which plugins a profile runs, their time limits, their rows and failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from forensic_toolkit.results import ToolRun
from forensic_toolkit.sandbox import subprograms

Row = dict[str, Any]
Plugin = tuple[str, float]
# Plugins that scan with YARA and need the rule file.
_YARA = ("vmayarascan", "vadyarascan")


def plugin_lists(platform: str, *, profile: str = "quick") -> list[list[Plugin]]:
    """The pinned plugins (``volatility_sets.json``) with their limits in seconds of processor time; the lists run side by side.

    The full profile adds what takes minutes to the quick one.
    """
    text = resources.files("forensic_toolkit.runners").joinpath("volatility_sets.json").read_text("utf-8")
    sets = json.loads(text)[platform]
    found = [[(str(name), float(seconds)) for name, seconds in plugins] for plugins in sets["quick"]]
    if profile == "full":
        for plugins, more in zip(found, sets["full"], strict=True):
            plugins.extend((str(name), float(seconds)) for name, seconds in more)
    return found


def limit(plugins: list[Plugin]) -> float:
    """The time limit of one list in seconds of a machine that is not overloaded: that of every plugin, and time to find the kernel."""
    return 120.0 + sum(seconds for _name, seconds in plugins)


@dataclass(slots=True)
class Analysis:
    """The result of all plugins: rows by plugin, and a record of every plugin that was to run."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    runs: list[ToolRun] = field(default_factory=list)

    def failed(self) -> list[ToolRun]:
        """The runs of plugins that gave no result."""
        return [run for run in self.runs if run.error is not None]


def version() -> str:
    """The installed version of volatility3, or ``absent``."""
    try:
        return metadata.version("volatility3")
    except metadata.PackageNotFoundError:
        return "absent"


def analyse(
    image: Path,
    *,
    symbols: Path,
    yara: str,
    work: Path,
    raw: Path,
    platform: str = "linux",
    profile: str = "quick",
    seconds: float = 86_400.0,
) -> Analysis:
    """Run all lists in parallel for at most ``seconds``; ``raw`` gets the rows and the programs' output.

    ``yara`` is the text of the rules for plugins that scan.
    """
    raw.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    rules = work / "rules.yar"
    rules.write_text(yara, encoding="utf-8")
    lists = plugin_lists(platform, profile=profile)
    logs = [raw / f"plugins{number}.jsonl" for number, _ in enumerate(lists, start=1)]
    for log in logs:
        log.write_bytes(b"")
    (work / "cache").mkdir(exist_ok=True)
    names = [name for plugins in lists for name, _ in plugins]
    job = {
        "image": str(image.resolve()), "symbols": str(symbols), "cache": str(work / "cache"), "out": str(raw),
        "lists": lists, "logs": [str(log) for log in logs],
        "options": {name: {"yara_file": rules.as_uri()} for name in names if name.split(".")[-2] in _YARA},
    }  # fmt: skip
    (work / "plugins.json").write_text(json.dumps(job), encoding="utf-8")
    argv = [sys.executable, "-m", "forensic_toolkit.runners.volatility_runner", str(work / "plugins.json")]
    output = raw / "plugins.log"
    process = _start(argv, work=work / "cache", log=output)
    most = max(1.0, min(seconds, max(map(limit, lists))))
    ended = subprograms.finish(process, stdout=output, seconds=most, started=started)
    analysis = Analysis()
    for plugins, log in zip(lists, logs, strict=True):
        _collect(analysis, plugins=plugins, log=log, ended=ended, raw=raw)
    return analysis


def _start(argv: list[str], *, work: Path, log: Path) -> subprocess.Popen[bytes]:
    # All of the machine's memory; Python and the pages of the image need far less.
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return subprograms.start(argv, folder=work, stdout=log, memory_bytes=max(4 << 30, memory))


def _collect(
    analysis: Analysis,
    *,
    plugins: list[Plugin],
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
