"""The table kernel x plugin in docs/kernels.md, which ``make guest KERNEL=…`` writes: a column for each series of kernels.

A column is replaced when its kernel is examined again; what the others say stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from lab.paths import ROOT
from lab.tools.memory.debian import version_key

DOCUMENT = ROOT / "docs" / "kernels.md"
SETS = ROOT / "ami/toolkit/src/forensic_toolkit/runners/volatility_sets.json"
BEGIN, END = "<!-- written by make guest KERNEL=... -->", "<!-- end -->"
FACTS = (
    "memory",
    "parts sent again",
    "symbols in the table",
    "planted process",
    "planted socket",
    "planted shell line",
    "hidden module",
    "deleted program",
)
CORNER = "Rows of"


def every_plugin() -> list[str]:
    """The plugins of the product's quick set, then those that the full one adds, in their order."""
    sets = json.loads(SETS.read_text("utf-8"))["linux"]
    return [str(name) for profile in ("quick", "full") for plugins in sets[profile] for name, _seconds in plugins]


def cell(rows: int | None, error: str | None) -> str:
    """What a plugin gave: its number of rows, ``none``, or ``error: `` and the reason in one line."""
    if error is not None or rows is None:
        plain = " ".join(re.sub(r"[|`<>]", " ", error or "no reason given").split())
        return f"error: {plain[:120]}"
    return str(rows) if rows else "none"


def series(release: str) -> str:
    """``6.12`` of ``6.12.118+deb13-cloud-amd64``, ``6.12 arm64`` of ``6.12.118+deb13-cloud-arm64``."""
    number = ".".join(map(str, version_key(release)[:2]))
    return f"{number} arm64" if release.endswith("-arm64") else number


def _place(release: str) -> tuple[bool, list[int]]:
    """x86-64 before AArch64, each by the numbers of its releases."""
    return release.endswith("-arm64"), version_key(release)


def columns(text: str) -> dict[str, dict[str, str]]:
    """What the table says: kernel's release to row to cell; empty where there is none yet."""
    inside = text.partition(BEGIN)[2].partition(END)[0]
    lines = [[part.strip() for part in line.strip("|").split("|")] for line in inside.strip().splitlines()]
    if len(lines) < 3:
        return {}
    kernels = [name.strip("`") for name in lines[0][1:]]
    return {
        kernel: {line[0].strip("`"): line[number] for line in lines[2:]}
        for number, kernel in enumerate(kernels, start=1)
    }


def with_column(text: str, kernel: str, seen: Mapping[str, str]) -> str:
    """The document with this kernel's column, in place of one of the same series. Raises ValueError where it has no marks."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"{DOCUMENT} lacks the lines '{BEGIN}' and '{END}': the table stands between them")
    kept = {name: column for name, column in columns(text).items() if series(name) != series(kernel)}
    every = dict(sorted({**kept, kernel: dict(seen)}.items(), key=lambda pair: _place(pair[0])))
    head = [CORNER, *(f"`{name}`" for name in every)]
    names = [*FACTS, *every_plugin()]
    rows = [[_name(name), *(column.get(name, "not run") for column in every.values())] for name in names]
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{rest.split(END, 1)[1]}"


def _name(name: str) -> str:
    return name if name in FACTS else f"`{name}`"


def write(kernel: str, seen: Mapping[str, str], *, document: Path = DOCUMENT) -> None:
    """Write the column into the document."""
    document.write_text(with_column(document.read_text("utf-8"), kernel, seen), "utf-8")
