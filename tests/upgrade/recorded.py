"""What earlier releases have left behind (``tests/data/releases``, made by ``record.py``)."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

RELEASES = Path(__file__).resolve().parents[1] / "data" / "releases"


def names() -> list[str]:
    """The releases of which there is a recording."""
    return sorted(file.stem for file in RELEASES.glob("*.json"))


@lru_cache
def recording(name: str) -> dict[str, Any]:
    """One recording."""
    found: dict[str, Any] = json.loads((RELEASES / f"{name}.json").read_text("utf-8"))
    return found
