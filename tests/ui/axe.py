"""axe-core, the rules that accessibility testers run, from npm into the work directory: locked by version and digest."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from tests.ui.chromium import Tab

ROOT = Path(__file__).resolve().parents[2]
LOCKED = ROOT / "requirements" / "axe"
SECONDS = 120
# What people with disabilities cannot use, or hardly: axe's impact levels "serious" and "critical".
SERIOUS = frozenset({"serious", "critical"})


@cache
def source() -> str | None:
    """axe-core's program; None where npm is not there or its registry does not answer."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    digest = hashlib.sha256((LOCKED / "package-lock.json").read_bytes()).hexdigest()[:16]
    place = ROOT / ".lab" / f"axe-{digest}"
    program = place / "node_modules" / "axe-core" / "axe.min.js"
    if not program.is_file():
        place.mkdir(parents=True, exist_ok=True)
        for file in LOCKED.glob("package*.json"):
            shutil.copy(file, place)
        try:
            subprocess.run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"],
                cwd=place, check=True, timeout=SECONDS, capture_output=True,
            )  # fmt: skip
        except (subprocess.SubprocessError, OSError):
            return None
    return program.read_text("utf-8")


def problems(tab: Tab, program: str) -> list[str]:
    """The serious problems of the page that a tab shows, each with the rule, what it is about and the first places."""
    tab.run(f"{program}; 0")
    asked = (
        "axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations.map(v => "
        "({id: v.id, help: v.help, impact: v.impact, html: v.nodes.map(n => n.html)}))))"
    )
    found: list[dict[str, Any]] = json.loads(tab.run(asked))
    return [
        f"{one['id']}: {one['help']}: {'; '.join(html[:120] for html in one['html'][:3])}"
        for one in found
        if one["impact"] in SERIOUS
    ]
