"""The lab's image holds every part of the project that the lab imports where it runs."""

from __future__ import annotations

import ast
import re

from lab.paths import ROOT

# the rooms that run in the container; scenarios and tools do not
ROOMS = ("emulator", "hosts", "seed", "evidence", "stack")
# where packages are that do not lie at the top of the project
FOLDERS = {"forensics": "plugins"}


def test_what_the_lab_imports_is_copied() -> None:
    imported = set()
    for file in (file for room in ROOMS for file in (ROOT / "lab" / room).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
            elif isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
    needed = {FOLDERS.get(name, name) for name in imported}
    needed = {name for name in needed if (ROOT / name).is_dir()}
    assert {"lab", "plugins", "infra"} <= needed
    lines = re.findall(r"^COPY (.+)$", (ROOT / "lab" / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert needed <= {word for line in lines for word in line.split()[:-1]}
