"""YARA-X rules on files with a suspicious place or origin; add a rule file to ``yara/`` to add rules.

Scans are limited by file size, total bytes, and seconds for each file.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib import metadata, resources
from typing import Any

from forensic_toolkit.filesystems.entries import Entry
from forensic_toolkit.filesystems.tree import TEMPORARY, Tree, is_hidden, sha256_of
from forensic_toolkit.results import SEVERITIES, Confidence, Finding, Results, Severity, ToolRun
from forensic_toolkit.technique_ids import technique_id

MAX_FILE = 32 << 20
MAX_NAMED = 10
MAX_BYTES = 2 << 30
SECONDS_FOR_A_FILE = 10
SECONDS = 90.0
_SCRIPTS = re.compile(r"\.(php\d?|phtml|jspx?|aspx?|cgi|pl|py|rb|sh|ko)$", re.IGNORECASE)
_STARTED = re.compile(
    r"^/(etc/(cron|init\.d|systemd|profile|rc|update-motd)|var/spool/cron|lib/modules|usr/lib/modules)"
)
_PEOPLE = re.compile(r"^/(root|home/[^/]+|srv|var/www|opt|usr/local)/")


def findings(tree: Tree, *, results: Results, more: Sequence[tuple[str, str]] = ()) -> Iterator[Finding]:
    """One finding per rule that matches a file. Without YARA-X there are none, and a gap says so."""
    prepared = scanner(results, more=more)
    if prepared is None:
        return
    started, scanned, size, hits = time.monotonic(), 0, 0, 0
    large: list[str] = []
    for entry in _candidates(tree):
        if size > MAX_BYTES or time.monotonic() - started > SECONDS:
            results.gap("YARA", f"{scanned} files ({size >> 20} MiB) were scanned; there was no time for the rest")
            break
        matched = matches(prepared, entry.read(limit=MAX_FILE), place=entry.path, results=results)
        scanned, size, hits = scanned + 1, size + min(entry.size, MAX_FILE), hits + len(matched)
        if entry.size > MAX_FILE:
            large.append(entry.path)
        yield from (_on_file(rule, entry, tree=tree) for rule in matched)
    if large:
        first = f"of {len(large)} files the first {MAX_FILE >> 20} MiB were scanned, they are larger: "
        results.gap("YARA", first + ", ".join(large[:MAX_NAMED]))
    seconds = time.monotonic() - started
    results.runs.append(ToolRun("yara-x", metadata.version("yara-x"), [f"{scanned} files"], 0, seconds, hits))


def scanner(results: Results, *, more: Sequence[tuple[str, str]] = ()) -> Any | None:
    """A scanner with all rules, those of packs (``more``) in a name space for each file; None without YARA-X, and a gap says so."""
    try:
        import yara_x
    except ImportError:
        results.gap("YARA", "yara-x is not installed in the toolkit's environment")
        return None
    compiler = yara_x.Compiler()
    for name, text in sources():
        compiler.add_source(text, origin=name)
    refused = []
    for name, text in more:
        compiler.new_namespace(name)
        try:
            compiler.add_source(text, origin=name)
        except yara_x.CompileError as error:
            refused.append(f"{name} ({str(error).splitlines()[0][:120]})")
    if refused:
        results.gap("rule packs", f"{len(refused)} YARA files could not be compiled: {'; '.join(refused[:40])}")
    made = yara_x.Scanner(compiler.build())
    made.set_timeout(SECONDS_FOR_A_FILE)
    return made


def matches(scanner: Any, content: bytes, *, place: str, results: Results) -> list[Any]:
    """The rules that match; a scan that ends early is a gap."""
    import yara_x

    try:
        return list(scanner.scan(content).matching_rules)
    except (yara_x.ScanError, yara_x.TimeoutError) as error:
        results.gap(f"YARA {place}", f"the scan ended early: {error}")
        return []


def sources() -> Iterator[tuple[str, str]]:
    """Name and text of every rule file."""
    folder = resources.files("forensic_toolkit.rules").joinpath("yara")
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.name.endswith(".yar"):
            yield path.name, path.read_text("utf-8")


def text() -> str:
    """All rule files as one text, for tools that take YARA rules."""
    return "\n".join(text for _name, text in sources())


def _candidates(tree: Tree) -> Iterator[Entry]:
    """Files that no package owns in places that intruders use."""
    for entry in tree.entries:
        if not entry.is_file or entry.size == 0 or tree.is_packaged(entry):
            continue
        path = entry.path
        if path.endswith("_history"):
            continue  # histories are examined by the command rules
        placed = TEMPORARY.match(path) or is_hidden(path) or _STARTED.match(path)
        runs = entry.is_executable and (tree.is_late(entry) or not tree.packaged)
        if placed or runs or (_PEOPLE.match(path) and (entry.is_executable or _SCRIPTS.search(path))):
            yield entry


def _on_file(rule: Any, entry: Entry, *, tree: Tree) -> Finding:
    about = f"{entry.size} bytes, owner {entry.uid}; {tree.origin(entry)}"
    data = {**entry.facts(), "sha256": sha256_of(entry)}
    return described(rule, place=entry.path, about=about, data=data, time=entry.born())


def described(
    rule: Any,
    *,
    place: str,
    about: str,
    data: dict[str, Any],
    time: datetime | None = None,
    confidence: Confidence = "medium",
) -> Finding:
    """A match as a finding; severity and technique come from the rule."""
    meta = dict(rule.metadata)
    severity: Severity = next((name for name in SEVERITIES if name == meta.get("severity")), "medium")
    return Finding(
        title=f"{meta.get('title', rule.identifier)}: {place}",
        detail=f"YARA rule {rule.identifier}; {about}",
        severity=severity,
        confidence=confidence,
        source=place,
        time=time,
        technique=technique_id(str(meta.get("technique", ""))),
        data={**data, "rule": rule.identifier},
    )
