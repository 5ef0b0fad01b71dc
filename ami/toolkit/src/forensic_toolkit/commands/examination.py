"""The confined program: everything that reads evidence runs here, without network access.

Usage: ``python -m forensic_toolkit.commands.examination JOB.json``; see :class:`Job` for the fields. It writes the outputs
(:mod:`forensic_toolkit.commands.outputs`) into the job's folder; exit status 0 means that they are there.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from forensic_toolkit import __version__
from forensic_toolkit.commands import disk, memory, outputs
from forensic_toolkit.errors import ToolkitError
from forensic_toolkit.results import Results, ToolRun
from forensic_toolkit.rules import rule_packs
from forensic_toolkit.sandbox import confinement
from forensic_toolkit.time_limits import OutOfTimeError, within
from forensic_toolkit.times import now

# Seconds kept for writing the outputs after the time for analysis has passed.
RESERVE = 20.0


@dataclass(frozen=True, slots=True)
class Job:
    """What to examine. ``files`` are the inputs by name; ``seconds`` is the time limit for everything."""

    command: Literal["memory", "disk"]
    case: str
    evidence: str
    folder: str
    files: dict[str, str]
    sha256: str
    bytes: int
    seconds: float
    profile: str = "quick"
    platform: str = "linux"
    gaps: list[list[str]] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the job as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def run(job: Job) -> None:
    """Examine the evidence and write the outputs; failures are recorded in them."""
    results = Results(job.case, job.evidence, job.command, started=now())
    results.input_sha256, results.input_bytes = job.sha256, job.bytes
    for what, why in job.gaps:
        results.gap(what, why)
    words, open_ends = confinement.described()
    results.runs.append(ToolRun("confinement", __version__, words, 0, 0.0, None, open_ends))
    folder = Path(job.folder)
    raw = folder / "raw"
    results.deadline = time.monotonic() + job.seconds - 2 * RESERVE
    files = {name: Path(path) for name, path in job.files.items()}
    try:
        with within(max(1.0, job.seconds - RESERVE), whole=True):
            if job.command == "memory":
                memory.analyse(results, files=files, work=folder, raw=raw, platform=job.platform, profile=job.profile)
            else:
                others = tuple(path for name, path in files.items() if name.startswith("other"))
                disk.analyse(
                    files["device"],
                    results=results,
                    raw=raw,
                    profile=job.profile,
                    packs=rule_packs.load(files, results=results),
                    others=others,
                )
    except ToolkitError as error:
        results.failure = str(error)
        results.gap("analysis", str(error))
    except OutOfTimeError as error:
        results.gap("analysis", f"{error}; the results hold what was found by then")
    outputs.write(results, folder=folder, raw=raw)


def main(argv: list[str]) -> int:
    """Run the job that ``argv[1]`` names."""
    run(Job(**json.loads(Path(argv[1]).read_text("utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
