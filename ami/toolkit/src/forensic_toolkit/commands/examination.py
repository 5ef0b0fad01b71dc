"""The confined program: everything that reads evidence runs here, without network access.

Usage: ``python -m forensic_toolkit.commands.examination JOB.json``; see :class:`Job` for the fields. It writes the outputs
(:mod:`forensic_toolkit.commands.outputs`) into the job's folder; exit status 0 means that they are there.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from forensic_toolkit import __version__
from forensic_toolkit.commands import comparison, disk, memory, outputs
from forensic_toolkit.errors import ToolkitError
from forensic_toolkit.filesystems.luks import Key
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
    keys: str = ""  # a file with keys of encrypted disks, removed when it is read

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
            elif job.profile == disk.COMPARE:
                comparison.run(files["device"], files.get(comparison.QUICK_RESULTS), results=results, raw=raw)
            else:
                others = tuple(path for name, path in files.items() if name.startswith("other"))
                disk.analyse(
                    files["device"],
                    results=results,
                    raw=raw,
                    profile=job.profile,
                    packs=rule_packs.load(files, results=results),
                    others=others,
                    keys=_keys(job),
                )
    except ToolkitError as error:
        results.failure = str(error)
        results.gap("analysis", str(error))
    except OutOfTimeError as error:
        results.gap("analysis", f"{error}; the results hold what was found by then")
    outputs.write(results, folder=folder, raw=raw)


def write_keys(path: Path, keys: Mapping[str, bytes]) -> None:
    """Keys by name, in a file that its owner alone can read."""
    content = {name: base64.b64encode(value).decode("ascii") for name, value in keys.items()}
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps(content), encoding="ascii")


def _keys(job: Job) -> list[Key]:
    """The keys that a user offers; their file is removed before any evidence is parsed."""
    if not job.keys:
        return []
    path = Path(job.keys)
    content = json.loads(path.read_text("ascii"))
    path.unlink()
    return [Key(name, base64.b64decode(value)) for name, value in content.items()]


def main(argv: list[str]) -> int:
    """Run the job that ``argv[1]`` names."""
    run(Job(**json.loads(Path(argv[1]).read_text("utf-8"))))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
