"""Write ``plugins/forensics/domain/documents.json`` from ``ssm_documents/``: the names and hashes that commands are pinned to.

Run it after every change of a document (``make documents``); a test fails when it is out of step.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "plugins" / "forensics" / "domain" / "documents.json"


def manifest() -> str:
    """The file's text as it should be now."""
    found = {
        path.stem: {"name": f"forensics-{path.stem}", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for path in sorted((ROOT / "ssm_documents").glob("*_*.yaml"))
    }
    return json.dumps(found, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    OUT.write_text(manifest(), "utf-8")
    sys.stdout.write(f"{OUT.relative_to(ROOT)} written\n")
