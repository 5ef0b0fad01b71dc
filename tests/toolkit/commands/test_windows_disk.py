"""The coverage of Windows artifacts, and event logs without a Windows around them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forensic_toolkit.commands import windows_disk
from forensic_toolkit.readers import event_logs
from forensic_toolkit.results import Results
from forensic_toolkit.times import now
from lab.tools.windows import evtx, server
from tests.toolkit.examined import NO_TOOLS, TOOLS, run
from tests.toolkit.fake_tree import Builder

LOGS = "/Windows/System32/winevt/Logs"
_FOLDER = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit.commands import windows_disk
from forensic_toolkit.filesystems.entries import Entry, Times
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.times import now

class Files:
    def __init__(self): self.known = {}
    def read(self, inode, *, limit, offset=0): return self.known[inode][offset:offset + limit]

files, entries = Files(), []
for number, path in enumerate(sorted(Path(sys.argv[1]).iterdir()), start=1):
    files.known[number] = path.read_bytes()
    entries.append(Entry(f"/{path.name}", number, "REG", 0o644, 0, 0, path.stat().st_size, Times(), False, filesystem=files))
results, coverage = Results("fc-20260101-0123456789", "disk-1", "disk", started=now()), Coverage()
with tempfile.TemporaryDirectory() as folder:
    raw = Path(folder) / "raw"
    raw.mkdir()
    count = windows_disk.examine_event_logs(entries, coverage=coverage, results=results, raw=raw)
    lines = [json.loads(line) for line in results.more_timeline.read_text().splitlines()]
coverage.report(results)
document = results.as_dict(ended=now())
print(json.dumps({"count": count, "lines": lines, "events": len(results.events), **document}))
"""


def test_a_log_says_how_many_records_its_chunks_announce() -> None:
    builder = Builder().add(f"{LOGS}/Security.evtx", evtx.log(server.security()))
    builder.add(f"{LOGS}/Broken.evtx", evtx.log(server.security(), broken=True)).add(f"{LOGS}/Empty.evtx", bytes(4096))
    builder.add(f"{LOGS}/Wrong.evtx", b"\xff" * 70_000)
    logs = {entry.name: event_logs.opened(entry) for entry in windows_disk._logs(builder.tree())}
    assert {name: log.announced for name, log in logs.items()} == {
        "Security.evtx": 12,
        "Broken.evtx": 12,
        "Empty.evtx": 0,
        "Wrong.evtx": 0,
    }
    assert [name for name, log in logs.items() if log.problems] == ["Empty.evtx", "Wrong.evtx"]


def test_a_volume_without_windows_gives_no_windows_gaps() -> None:
    assert not windows_disk.is_windows(Builder().tree())
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    windows_disk._check_registry(Builder().tree(), {"services": [], "amcache.application_files": []}, results=results)
    assert results.gaps == []


def test_a_damaged_hive_is_named_with_what_it_costs() -> None:
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    good = b"regf" + bytes(4092) + b"hbin" + bytes(4092)
    builder = Builder().add("/Windows/System32/config/SYSTEM", good).add("/Windows/System32/config/SAM", good)
    builder.add("/Windows/System32/config/SOFTWARE", good.replace(b"hbin", b"xxxx"))
    list(windows_disk._hives(builder.tree(), results=results))
    said = {what: why.split(";")[0] for what, why in results.gaps}
    assert said == {"hive SOFTWARE": "it is damaged (no valid header)", "hive SECURITY": "it is absent"}


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_a_folder_of_event_logs_is_examined_alone(tmp_path: Path) -> None:
    (tmp_path / "Security.evtx").write_bytes(evtx.log(server.security()))
    (tmp_path / "System.evtx").write_bytes(evtx.log(server.system()))
    found = json.loads(run(_FOLDER, str(tmp_path)))
    assert found["gaps"] == [] and found["count"] == 13
    assert {item["path"]: (item["lines"], item["parsed"]) for item in found["coverage"]} == {
        "/Security.evtx": (12, 12),
        "/System.evtx": (1, 1),
    }
    assert {item["technique"] for item in found["findings"]} >= {
        "T1110",
        "T1136.001",
        "T1053.005",
        "T1685.005",
        "T1543.003",
    }
    moments = [line["datetime"] for line in found["lines"]]
    assert moments == sorted(moments) and len(moments) + found["events"] == 13


@pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
def test_a_damaged_log_costs_only_what_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "Broken.evtx").write_bytes(evtx.log(server.security(), broken=True))
    (tmp_path / "System.evtx").write_bytes(evtx.log(server.system()))
    found = json.loads(run(_FOLDER, str(tmp_path)))
    shortfalls = {item["path"]: item["shortfalls"] for item in found["coverage"]}
    assert shortfalls["/System.evtx"] == [] and shortfalls["/Broken.evtx"]
    assert "T1543.003" in {item["technique"] for item in found["findings"]}
