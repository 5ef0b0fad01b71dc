"""A log of a gigabyte: little memory, the newest part first, nothing that matters lost."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.toolkit.examined import NO_TOOLS, SOURCES, TOOLS, run

SIZE = 1 << 30
MOST_MEMORY = 256 << 20
FASTEST = 20  # MiB in a second of the processor: other work on the machine does not count
_READ = """
import json, os, sys, time
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
coverage, began = Coverage(), time.process_time()
logs = system_logs.read(Tree([entry]), coverage=coverage, results=results)
seconds = time.process_time() - began
accepted = [login.user for login in login_logs.attempts(logs.lines[system_logs.AUTH]) if login.accepted]
print(json.dumps({
    "seconds": seconds, "memory": int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024, "accepted": accepted,
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
    print(
        f"\n[investigate] auth.log of 1 GiB: {speed:.0f} MiB per second of processor, {found['memory'] >> 20} MiB resident"
    )
    assert found["lines"] == found["parsed"] == count
    assert found["accepted"] == ["late", "early"]
    assert found["memory"] <= MOST_MEMORY
    assert speed >= FASTEST
    assert found["gaps"] == []


_WEB = """
import json, os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from forensic_toolkit.filesystems.entries import Entry, Times
from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.rules import log_rules

path = Path(sys.argv[1])
descriptor = os.open(path, os.O_RDONLY)


class Files:
    problems, current = [], True

    def read(self, inode, *, limit, offset=0):
        return os.pread(descriptor, limit, offset)


modified = path.stat().st_mtime_ns
entry = Entry("/var/log/nginx/access.log", 1, "REG", 0o100644, 0, 0, path.stat().st_size, Times(modified, modified), False, filesystem=Files())
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=datetime.now(UTC))
coverage, began = Coverage(), time.process_time()
found = [item for _, rule in log_rules.web(Tree([entry]), coverage=coverage, results=results) for item in rule()]
seconds = time.process_time() - began
(artifact,) = coverage.artifacts
print(json.dumps({
    "seconds": seconds, "memory": int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024, "found": [[item.title, item.count] for item in found],
    "lines": artifact.lines, "parsed": artifact.parsed, "first": artifact.first.isoformat(), "last": artifact.last.isoformat(),
    "events": len(results.events), "oldest": min(event.time for event in results.events).isoformat(), "gaps": results.gaps, "notes": len(results.notes),
}))
"""
AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36",
    "curl/8.5.0",
)


def _requests(path: Path, size: int) -> int:
    """Write an access log: pages with different queries, some of them encoded, a few attacks; returns the number of lines."""
    start, count = datetime(2026, 1, 2, tzinfo=UTC), 0
    with path.open("w", encoding="ascii") as file:
        while file.tell() < size:
            head = f"{start + timedelta(seconds=count // 100):%d/%b/%Y:%H:%M:%S} +0000"
            rows = []
            for number in range(count, count + 100):
                query = f"q=caf%C3%A9+{number}" if number % 12 == 0 else f"page={number}&sort=name"
                target = f"/shop/item/{number}?{query}"
                if number % 100_000 == 50_000:
                    target = f"/shop?id={number}%27+union+select+password+from+users"
                rows.append(
                    f'198.51.{number % 90}.{number % 250} - - [{head}] "GET {target} HTTP/1.1" {404 if number % 40 == 0 else 200} {number % 9000} '
                    f'"https://shop.example.org/list/{number % 700}" "{AGENTS[number % 3]}"\n'
                )
            file.writelines(rows)
            count += 100
    return count


@pytest.mark.investigate
@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_a_web_log_of_a_gigabyte(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    count = _requests(path, SIZE)
    found = json.loads(run(_WEB, str(path)))
    speed = path.stat().st_size / found["seconds"] / (1 << 20)
    print(
        f"\n[investigate] access.log of 1 GiB: {speed:.0f} MiB per second of processor, {found['memory'] >> 20} MiB resident"
    )
    assert found["lines"] == found["parsed"] == count
    assert found["first"] == "2026-01-02T00:00:00+00:00"
    attacks = sum(times for title, times in found["found"] if title.startswith("SQL in a request"))
    assert attacks == len(range(50_000, count, 100_000))
    assert 200_000 <= found["events"] <= 200_000 + attacks and found["notes"] == 1
    assert found["gaps"] == []
    assert found["memory"] <= MOST_MEMORY
    assert speed >= FASTEST
