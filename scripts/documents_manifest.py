"""Write ``plugins/forensics/documents.json`` from ``ssm_documents/``: what commands are pinned to, and when they run.

Run it after every change of a document or of the registry (``make documents``); a test fails when it is out of step.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "ssm_documents"
OUT = ROOT / "plugins" / "forensics" / "documents.json"
REQUIRED = {"activity", "platform", "document", "description"}
OPTIONAL = {"os_version", "evidence", "tool", "finding_types", "output", "offers", "enabled", "follows"}


class RegistryError(ValueError):
    """The registry and the folder do not fit together; the message names the entry or file."""


def manifest(folder: Path = FOLDER) -> str:
    """The file's text as it should be now; raises :class:`RegistryError`."""
    entries = yaml.safe_load((folder / "registry.yaml").read_text("utf-8"))["documents"]
    found = {Path(entry["document"]).stem: _compiled(entry, folder) for entry in entries if _valid(entry, folder)}
    files = {path.stem for path in folder.glob("*_*.yaml")}
    if files != set(found):
        lost = ", ".join(sorted(files ^ set(found)))
        msg = f"{folder}/registry.yaml needs exactly one entry for each document; look at: {lost}"
        raise RegistryError(msg)
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


def _valid(entry: dict[str, Any], folder: Path) -> bool:
    wrong = (REQUIRED - set(entry)) | (set(entry) - REQUIRED - OPTIONAL)
    if wrong:
        msg = f"registry entry {entry.get('document')}: missing or unknown {', '.join(sorted(wrong))}"
        raise RegistryError(msg)
    if not (folder / entry["document"]).is_file():
        msg = f"registry entry {entry['document']}: {folder / entry['document']} does not exist"
        raise RegistryError(msg)
    if "evidence" in entry and (entry["evidence"] not in {"memory", "disk"} or not entry.get("tool")):
        msg = f"registry entry {entry['document']}: an investigation needs evidence (memory or disk) and tool"
        raise RegistryError(msg)
    if "evidence" in entry and not entry["document"].startswith("investigate_"):
        msg = f"registry entry {entry['document']}: roles run investigations by their name: call it investigate_…"
        raise RegistryError(msg)
    return True


def _compiled(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    content = (folder / entry["document"]).read_bytes()
    kept = {name: entry[name] for name in ("activity", "platform", *sorted(OPTIONAL)) if name in entry}
    if "ExecutionTimeout" in yaml.safe_load(content)["parameters"]:
        kept["takes_limit"] = True
    return {
        "name": f"forensics-{Path(entry['document']).stem}",
        "sha256": hashlib.sha256(content).hexdigest(),
        **kept,
    }


if __name__ == "__main__":
    try:
        OUT.write_text(manifest(), "utf-8")
    except RegistryError as error:
        sys.exit(f"documents.json was not written: {error}")
    sys.stdout.write(f"{OUT.relative_to(ROOT)} written\n")
