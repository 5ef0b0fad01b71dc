"""Runs the disk examination in the toolkit's own environment and returns its results."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / ".venv-tools" / "bin" / "python"
PLASO = ROOT / ".venv-plaso" / "bin"
SOURCES = ROOT / "ami" / "toolkit" / "src"
NO_TOOLS = "the toolkit's own environment (.venv-tools) is not there: run `make setup`"
_PART = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit.commands import disk
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
with tempfile.TemporaryDirectory() as folder:
    disk.examine(Path(sys.argv[1]), results=results, raw=Path(folder))
with open(sys.argv[2], "w") as file:
    for event in results.in_order():
        file.write(json.dumps(event.as_timesketch()) + chr(10))
print(json.dumps(results.as_dict(ended=now())))
"""
_WHOLE = """
import json, shutil, sys, tempfile
from pathlib import Path
from forensic_toolkit import manifest
from forensic_toolkit.commands import investigation, outputs
from forensic_toolkit.filesystems import block_device

image, seconds, profile = Path(sys.argv[1]), float(sys.argv[3]), sys.argv[4]
block_device.locate = lambda _volume: image
request = investigation.Request("disk", "fc-20260101-0123456789", "disk-1", "vol-0123456789abcdef0", profile, seconds)
with tempfile.TemporaryDirectory() as folder:
    work = Path(folder)
    document = investigation.investigate(request, manifest=manifest.parse("forensics-manifest 1"), work=work)
    shutil.copy(outputs.paths(work)["timeline"], sys.argv[2])
    document["log"] = (work / "examination.log.stderr").read_text("utf-8", "replace")
print(json.dumps(document))
"""


def examine(
    image: Path, *, whole: bool = False, seconds: float = 240, profile: str = "quick", before: str = ""
) -> dict[str, Any]:
    """results.json of an image, with all timeline entries under ``events``.

    ``whole`` goes the way of the command line: digests, a confined program, dissect as a second opinion.
    ``before`` is code that runs first, to break a part of the toolkit.
    """
    timeline = image.with_suffix(".timeline")
    more = (str(seconds), profile) if whole else ()
    document: dict[str, Any] = json.loads(run(before + (_WHOLE if whole else _PART), str(image), str(timeline), *more))
    document["events"] = [json.loads(line) for line in timeline.read_text("utf-8").splitlines()]
    return document


def run(program: str, *arguments: str, seconds: float = 900) -> str:
    """Stdout of a program run by the toolkit's Python; its stderr explains a failure."""
    done = subprocess.run(
        [str(TOOLS), "-c", program, *arguments],
        env={"PYTHONPATH": str(SOURCES), "PATH": os.environ["PATH"], "FORENSIC_PLASO": str(PLASO)},
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def examination_with(change: str) -> str:
    """Code that makes the confined program run with a change; it is a process of its own."""
    program = (
        "import sys; from forensic_toolkit.commands import examination; from forensic_toolkit.runners import dissect_program; "
        f"{change}; sys.exit(examination.main(sys.argv[1:]))"
    )
    return (
        "from forensic_toolkit.sandbox import subprograms\n"
        "begin = subprograms.start\n"
        "def start(argv, **more):\n"
        f"    return begin([argv[0], '-c', {program!r}, *argv[2:]], **more)\n"
        "subprograms.start = start\n"
    )


def moment(text: str) -> datetime:
    """An ISO time."""
    return datetime.fromisoformat(text)


def answered(fact: dict[str, Any], results: dict[str, Any]) -> bool:
    """A finding with the fact's technique at one of its times (± 1 s), or one on its path with its technique."""
    times = [moment(text) for text in fact["times"].values()]
    for finding in results["findings"]:
        same = (finding["technique"] or "").split(".")[0] == (fact["technique"] or "").split(".")[0]
        near = finding["time"] and any(abs((moment(finding["time"]) - time).total_seconds()) <= 1 for time in times)
        if same and (near or finding["source"] == fact["path"]):
            return True
    return False
