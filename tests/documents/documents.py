"""The documents as data, for the tests in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "ssm_documents"

# The project's own: how their scripts are written is held by the rules of this folder. A document that somebody adds keeps the
# contract alone (lab/scenarios/document_rules.py).
OWN = (
    "acquire_memory_linux",
    "acquire_memory_windows",
    "investigate_clamav_linux",
    "investigate_collect_linux",
    "investigate_comparison_linux",
    "investigate_disk_full_linux",
    "investigate_disk_linux",
    "investigate_memory_full_linux",
    "investigate_memory_linux",
    "investigate_symbols_linux",
    "investigate_windows_disk_linux",
    "investigate_windows_memory_linux",
    "live_response_linux",
    "live_response_windows",
    "probe_linux",
    "probe_windows",
    "sweep_linux",
    "sweep_windows",
)


def names() -> list[str]:
    """Stems of all documents."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml") if path.stem != "registry")


def load(name: str) -> dict[str, Any]:
    """One document."""
    document: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text("utf-8"))
    return document


def script(name: str) -> str:
    """The script of a document's only step, as the agent writes it to a file."""
    (step,) = load(name)["mainSteps"]
    return "\n".join(step["inputs"]["runCommand"])
