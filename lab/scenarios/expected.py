"""Are the facts planted in the lab's evidence among what the tools report? Compared by content, not by finding names.

A fact counts as found when one finding (or one notable timeline entry) of the right kind of evidence names its subject
*and* something that only this fact has: its technique, one of its times (± 1 s), its peer address or its marker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from forensics.models.results import ToolFinding, ToolResults

_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
TOLERANCE = timedelta(seconds=1)


@dataclass(frozen=True)
class Found:
    """One planted fact and the finding that shows it (None: missing)."""

    fact: dict[str, Any]
    finding: str | None


def load(file: Path) -> list[dict[str, Any]]:
    """The facts of a ``facts.json``."""
    return list(json.loads(file.read_text("utf-8"))["facts"])


def compare(facts: Iterable[dict[str, Any]], results: Iterable[ToolResults]) -> list[Found]:
    """Look for every fact in the results of its kind of evidence."""
    by_tool: dict[str, list[ToolResults]] = {}
    for result in results:
        by_tool.setdefault(result.tool, []).append(result)
    found = []
    for fact in facts:
        tool = "memory" if fact["id"].startswith("memory-") else "disk"
        found.append(Found(fact, _search(fact, by_tool.get(tool, []))))
    return found


def _search(fact: dict[str, Any], results: list[ToolResults]) -> str | None:
    for result in results:
        for item in result.findings:
            if _shows(fact, text=_text(item), technique=item.technique, time=item.time):
                return f"{item.id}: {item.title}"
        for entry in result.timeline:
            if _shows(fact, text=f"{entry.what} {entry.source}", technique=None, time=entry.time):
                return f"timeline: {entry.what[:100]}"
    return None


def _text(item: ToolFinding) -> str:
    return " ".join([item.title, item.detail, item.source, json.dumps(item.data, default=str)])


def _shows(fact: dict[str, Any], *, text: str, technique: str | None, time: datetime | None) -> bool:
    if not _names_subject(fact, text):
        return False
    if technique and technique == fact.get("technique"):
        return True
    seen = [time] if time else []
    seen += [datetime.fromisoformat(m.replace("Z", "+00:00")) for m in _UTC.findall(text)]
    known = [*(fact.get("times") or {}).values(), *([fact["started"]] if "started" in fact else [])]
    times = [datetime.fromisoformat(str(v).replace("Z", "+00:00")) for v in known]
    if any(abs(a - b) <= TOLERANCE for a in seen for b in times):
        return True
    marks = [fact.get("remote"), fact.get("marker"), fact.get("module"), (fact.get("data") or {}).get("marker")]
    return any(mark and str(mark) in text for mark in marks)


def _names_subject(fact: dict[str, Any], text: str) -> bool:
    if "commands" in fact:
        commands = [c for c in fact["commands"] if len(c) > 8]
        return any(c in text for c in commands)
    if "module" in fact:
        return str(fact["module"]) in text
    subjects = [fact.get("path"), *(p for p in fact.get("look_in", []) if p.startswith("/"))]
    if any(subject and subject in text for subject in subjects):
        return True
    return "pid" in fact and re.search(rf"\b{fact['pid']}\b", text) is not None
