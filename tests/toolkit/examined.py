"""Runs the disk examination in the toolkit's own environment and gives back what it says."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-tools" / "bin" / "python"
SOURCES = ROOT / "ami" / "toolkit" / "src"
NO_TOOLS = "the toolkit's own environment (.venv-tools) is not there: run `make setup`"
_PROGRAM = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit import block_device, disk
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

image, whole, timeline = Path(sys.argv[1]), sys.argv[2] == "whole", Path(sys.argv[3])
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
with tempfile.TemporaryDirectory() as folder:
    if whole:
        block_device.locate = lambda _volume: image
        disk.run(results, volume="vol-0123456789abcdef0", work=Path(folder), raw=Path(folder))
    else:
        disk.examine(image, results=results, raw=Path(folder))
with timeline.open("w") as file:
    for event in sorted(results.events, key=lambda event: event.time):
        file.write(json.dumps(event.as_timesketch()) + chr(10))
print(json.dumps(results.as_dict(ended=now())))
"""


def examine(image: Path, *, whole: bool = False) -> dict[str, Any]:
    """results.json of an image, with all timeline entries under ``events``; ``whole`` adds digests and dissect."""
    timeline = image.with_suffix(".timeline")
    document: dict[str, Any] = json.loads(run(_PROGRAM, str(image), "whole" if whole else "part", str(timeline)))
    document["events"] = [json.loads(line) for line in timeline.read_text("utf-8").splitlines()]
    return document


def run(program: str, *arguments: str) -> str:
    """Stdout of a program run by the toolkit's Python; its stderr explains a failure."""
    done = subprocess.run(
        [str(TOOLS), "-c", program, *arguments],
        env={"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
