"""The ``collect`` command: copy files out of a volume, each with its path, times and digest.

Copies are named by numbers, because file names come from evidence; ``files.jsonl`` maps numbers to files. Nothing is unpacked,
and no link is followed.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from forensic_toolkit import __version__
from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.printable import printable_data
from forensic_toolkit.results import Results, ToolRun

FOUND = "named by a finding"
MAX_FILE, MAX_ALL, MAX_FILES = 256 << 20, 4 << 30, 20_000
_PIECE = 16 << 20


def sets() -> dict[str, re.Pattern[str]]:
    """Patterns on whole paths, by name of the set (``collect_sets.json``)."""
    text = resources.files("forensic_toolkit.commands").joinpath("collect_sets.json").read_text("utf-8")
    return {name: re.compile(pattern) for name, pattern in json.loads(text)["sets"].items()}


def run(tree: Tree, *, named: set[str], results: Results, raw: Path) -> None:
    """Copy the files that sets and findings name; a file that is left out or cannot be read completely is a gap."""
    started, size, count = time.monotonic(), 0, 0
    folder = raw / "files"
    folder.mkdir()
    with (raw / "files.jsonl").open("w", encoding="utf-8") as index:
        for entry, why in _wanted(tree, named):
            if entry.size > MAX_FILE:
                results.gap(f"collect {entry.path}", f"{entry.size} bytes; files of more than {MAX_FILE} are left out")
                continue
            if size + entry.size > MAX_ALL or count >= MAX_FILES or results.seconds_left() < 0:
                results.gap(
                    "collect", f"{count} files with {size} bytes were copied; there was no room or time for the rest"
                )
                break
            count, size = count + 1, size + entry.size
            digest, read = _copy(entry, into=folder / f"{count:06}")
            if read != entry.size:
                results.gap(f"collect {entry.path}", f"{read} of {entry.size} bytes could be read")
            facts: dict[str, Any] = {
                "file": f"files/{count:06}",
                "set": why,
                **entry.facts(),
                "sha256": digest,
                "bytes": read,
            }
            index.write(json.dumps(printable_data(facts, limit=4096), ensure_ascii=False) + "\n")
    if not count:
        results.gap("collect", "the volume holds none of the files to collect, and no finding names one")
    results.counts |= {"collected_files": count, "collected_bytes": size}
    seconds = time.monotonic() - started
    results.runs.append(ToolRun("collect", __version__, [*sets(), FOUND], 0, seconds, count))


def _wanted(tree: Tree, named: set[str]) -> Iterator[tuple[Entry, str]]:
    """The files to copy and why; those that findings name come first, because room may run out."""
    patterns = sets()
    files = [entry for entry in tree.entries if entry.is_file]
    yield from ((entry, FOUND) for entry in files if entry.path in named)
    for entry in files:
        why = next((name for name, pattern in patterns.items() if pattern.fullmatch(entry.path)), None)
        if why and entry.path not in named:
            yield entry, why


def _copy(entry: Entry, *, into: Path) -> tuple[str, int]:
    digest, read = hashlib.sha256(), 0
    with into.open("wb") as out:
        while read < entry.size:
            piece = entry.read(limit=min(_PIECE, entry.size - read), offset=read)
            if not piece:
                break
            digest.update(piece)
            out.write(piece)
            read += len(piece)
    return digest.hexdigest(), read
