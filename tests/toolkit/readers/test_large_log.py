"""A log of a gigabyte: little memory, the newest part first, nothing that matters lost."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.toolkit.examined import SOURCES

SIZE = 1 << 30
MOST_MEMORY = 256 << 20
_READ = """
import json, os, resource, sys, time
from datetime import UTC, datetime
from pathlib import Path
from forensic_toolkit.filesystems.entries import Entry, Times
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import login_logs, system_logs
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results

path = Path(sys.argv[1])
descriptor = os.open(path, os.O_RDONLY)


class Files:
    problems, current = [], True

    def read(self, inode, *, limit, offset=0):
        return os.pread(descriptor, limit, offset)


entry = Entry("/var/log/auth.log", 1, "REG", 0o100644, 0, 0, path.stat().st_size, Times(path.stat().st_mtime_ns), False, filesystem=Files())
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=datetime.now(UTC))
coverage, began = Coverage(), time.monotonic()
logs = system_logs.read(Tree([entry]), coverage=coverage, results=results)
seconds = time.monotonic() - began
accepted = [login.user for login in login_logs.attempts(logs.lines[system_logs.AUTH]) if login.accepted]
print(json.dumps({
    "seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, "accepted": accepted,
    "lines": coverage.artifacts[0].lines, "parsed": coverage.artifacts[0].parsed, "gaps": results.gaps,
}))
"""


def _written(path: Path) -> int:
    """Write a log of SIZE bytes of guessing, with a log-in at its start and one at its end; returns the number of lines."""
    moment, count = datetime(2026, 1, 2), 2  # noqa: DTZ001 - the log states no zone
    with path.open("w", encoding="ascii") as file:
        file.write("Jan  1 23:59:00 web sshd[9]: Accepted password for early from 198.51.100.5 port 4000 ssh2\n")
        while file.tell() < SIZE:
            moment += timedelta(minutes=1)
            head = f"{moment:%b} {moment.day:2} {moment:%H:%M}"
            file.writelines(
                f"{head}:{second:02} web sshd[{second + 1000}]: Failed password for invalid user admin{second % 17} "
                f"from 203.0.113.{(moment.minute * 60 + second) % 251} port {4000 + second} ssh2\n"
                for second in range(60)
                for _ in range(2)
            )
            count += 120
        file.write(f"{head}:59 web sshd[9]: Accepted password for late from 203.0.113.9 port 4000 ssh2\n")
    return count


@pytest.mark.investigate
def test_a_log_of_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    count = _written(path)
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(path)],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    found = json.loads(done.stdout)
    speed = path.stat().st_size / found["seconds"] / (1 << 20)
    print(f"\n[investigate] auth.log of 1 GiB: {speed:.0f} MiB/s, {found['memory'] >> 20} MiB resident")
    assert found["lines"] == found["parsed"] == count
    assert found["accepted"] == ["late", "early"]
    assert found["memory"] <= MOST_MEMORY
    assert found["gaps"] == []
