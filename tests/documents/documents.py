"""The documents as data, for the tests in this folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "ssm_documents"


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
