"""Programs that the tests of the stack start and end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lab.progress import wait_until
from lab.stack.process import MARK, Member, launch

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal as s, time; s.signal(s.SIGTERM, s.SIG_IGN)\nprint('up', flush=True); time.sleep(60)",
]
# leaves a child in a session of its own, as some programs do
FORKER = [
    sys.executable,
    "-c",
    "import subprocess, sys, time\n"
    "command = [sys.executable, '-c', 'import time; time.sleep(60)']\n"
    "child = subprocess.Popen(command, start_new_session=True)\n"
    "print(child.pid, flush=True); time.sleep(60)",
]


def run(command: list[str], folder: Path, *, stack_id: str = "test") -> tuple[Member, subprocess.Popen[bytes]]:
    environment = {**os.environ, MARK: stack_id}
    return launch("probe", command, log=folder / "probe.log", environment=environment, directory=folder)


def wait_for_text(file: Path) -> str:
    return wait_until(
        lambda: file.read_text().strip() if file.exists() else "", what=f"something to be written to {file}", pause=0.02
    )
