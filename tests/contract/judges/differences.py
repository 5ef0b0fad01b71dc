"""The table "Where judges differ" of docs/lab-fidelity.md."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "lab-fidelity.md"
TITLE = "## Where judges differ"


@cache
def rows() -> tuple[tuple[str, str, str, str], ...]:
    """(test, emulator, what it does, who is right and who says so)."""
    text = DOCUMENT.read_text("utf-8").split(TITLE, 1)[1].split("\n## ", 1)[0]
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `test_"):
            assert len(cells) == 4 and all(cells), line
            found.append((cells[0].strip("`"), cells[1], cells[2], cells[3]))
    return tuple(found)


def listed() -> dict[tuple[str, str], str]:
    """(test, emulator) → who is right."""
    return {(test, name): verdict for test, names, _, verdict in rows() for name in re.split(r",\s*", names)}
