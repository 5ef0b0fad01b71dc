"""A quiet week of a Windows server: nothing critical or high is said, and at most ten medium findings."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from lab.tools.windows import quiet
from tests.toolkit.examined import NO_TOOLS, ROOT, TOOLS, run

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
_RUN = """
import json, sys, tempfile
sys.path.insert(0, sys.argv[1])
from collections import defaultdict
from pathlib import Path
from forensic_toolkit.commands import windows_disk
from forensic_toolkit.filesystems.entries import Entry, Times
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.times import now
from lab.tools.windows import quiet
from lab.tools.windows.evtx import log
class Files:
    known = {}
    def read(self, inode, *, limit, offset=0):
        return self.known[inode][offset : offset + limit]
files, channels, entries = Files(), defaultdict(list), []
for event in quiet.events():
    channels[event.channel].append(event)
for inode, (channel, events) in enumerate(channels.items(), start=1):
    files.known[inode] = log(events)
    path = "/windows/system32/winevt/logs/" + channel.replace("/", "%4") + ".evtx"
    entries.append(Entry(path, inode, "REG", 0o644, 0, 0, len(files.known[inode]), Times(), False, filesystem=files))
results, coverage = Results("fc-20260101-0123456789", "disk-1", "disk", started=now()), Coverage()
with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "raw").mkdir()
    count = windows_disk.examine_event_logs(entries, coverage=coverage, results=results, raw=Path(folder) / "raw")
print(json.dumps({"count": count, **results.as_dict(ended=now())}))
"""


@pytest.fixture(scope="module")
def examined() -> dict[str, Any]:
    """The results of the week's logs."""
    found: dict[str, Any] = json.loads(run(_RUN, str(ROOT)))
    return found


def test_every_event_of_the_week_is_read(examined: dict[str, Any]) -> None:
    assert examined["count"] == len(quiet.events()) >= 900
    assert examined["gaps"] == []


def test_a_quiet_week_says_nothing_grave(examined: dict[str, Any]) -> None:
    grave = [
        (item["severity"], item["title"], item["detail"][:200])
        for item in examined["findings"]
        if item["severity"] in ("critical", "high")
    ]
    assert grave == []
    medium = [(item["title"], item["detail"][:200]) for item in examined["findings"] if item["severity"] == "medium"]
    assert len(medium) <= 10, medium


def test_what_administrators_do_daily_is_folded(examined: dict[str, Any]) -> None:
    counts = Counter(item["severity"] for item in examined["findings"])
    assert counts["low"] <= 60 and sum(counts.values()) <= 100, counts
