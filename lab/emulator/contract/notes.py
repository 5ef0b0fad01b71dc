"""The notes of a watch: which operations were answered, and what was wrong (``watch.py`` writes them)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VARIABLE = "LAB_ANSWERS"
_CHANGING = re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f-]{8,}\b|\d+")


@dataclass(frozen=True, order=True)
class Problem:
    """One kind of wrong answer."""

    service: str
    operation: str
    problem: str

    def __str__(self) -> str:
        return f"{self.service}.{self.operation}: {self.problem}"


def kind(problem: str) -> str:
    """The problem without what differs from one answer to the next: ids, numbers."""
    return _CHANGING.sub("#", problem)


def report(directory: Path) -> tuple[set[tuple[str, str]], list[Problem]]:
    """Operations that were answered, and what was wrong, each once."""
    lines: list[dict[str, Any]] = []
    for file in sorted(directory.glob("*.jsonl")):
        lines += [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    played = {(line["service"], line["operation"]) for line in lines}
    kinds: dict[tuple[str, ...], Problem] = {}
    for line in lines:
        if line["problem"]:
            found = Problem(line["service"], line["operation"], line["problem"])
            kinds.setdefault((found.service, found.operation, kind(found.problem)), found)
    return played, sorted(kinds.values())
