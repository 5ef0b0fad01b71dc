"""plaso's events in Timesketch's format; input as psort's json_line output writes it (one JSON object per line, microseconds)."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest

from forensic_toolkit.filesystems.entries import Partition
from forensic_toolkit.readers.coverage import Artifact, Coverage
from forensic_toolkit.results import Results
from forensic_toolkit.runners import plaso_program
from forensic_toolkit.times import now

EVENT = {
    "__container_type__": "event",
    "__type__": "AttributeContainer",
    "data_type": "syslog:line",
    "message": "[sshd, pid: 42] Accepted password for admin \u202e",
    "parser": "text/syslog_traditional",
    "pathspec": {"__type__": "PathSpec", "type_indicator": "TSK", "location": "/var/log/auth.log"},
    "timestamp": 1_767_323_045_250_000,
    "timestamp_desc": "Content Modification Time",
    "pid": 42,
    "reporter": "sshd",
}


def test_events_have_timesketchs_fields(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    without_time = {**EVENT, "timestamp": 0}
    path.write_text("\n".join([json.dumps(EVENT), json.dumps(without_time), '{"cut', "{}"]) + "\n", encoding="utf-8")
    kinds: Counter[str] = Counter()
    (event,) = plaso_program.events(path, kinds=kinds)
    assert event == {
        "message": "[sshd, pid: 42] Accepted password for admin \\u202e",
        "datetime": "2026-01-02T03:04:05.250000+00:00",
        "timestamp_desc": "Content Modification Time",
        "source": "/var/log/auth.log",
        "data_type": "syslog:line",
        "parser": "text/syslog_traditional",
        "pid": 42,
    }
    # An event without a time is counted, but would put the start of the timeline into 1970.
    assert kinds == {"syslog:line": 2, "broken": 2}


def test_far_fewer_events_than_files_and_lines_are_gaps() -> None:
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
    coverage = Coverage([Artifact("log-in log", "/var/log/auth.log", 9, lines=90, parsed=90)])
    coverage.add(Artifact("web log", "/var/log/nginx/access.log", 9, lines=10, parsed=10))
    kinds = Counter({"fs:stat": 40, "syslog:line": 44, "apache:access_log:entry": 5, "broken": 1})
    plaso_program._compare(kinds, results=results, coverage=coverage, files=100)
    assert [what for what, _why in results.gaps] == [
        "coverage: plaso fs:stat",
        "coverage: plaso syslog",
        "coverage: plaso",
    ]


def test_programs_are_found_in_the_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("FORENSIC_PLASO", str(tmp_path))
    monkeypatch.setattr(plaso_program.sys, "prefix", str(tmp_path / "elsewhere" / "toolkit"))
    for name in ("log2timeline", "psort"):
        assert plaso_program.programs() is None or Path("/opt/plaso/bin").exists()
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    assert plaso_program.programs() == (str(tmp_path / "log2timeline"), str(tmp_path / "psort"))


# In place of plaso, which needs Python 3.11 and minutes: programs that take the arguments of its command line, and
# leave a storage when interrupted (SIGINT), or none at all when killed. What the real one has written by then varies.
_LOG2TIMELINE = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = --storage_file ] && storage=$2; shift; done
{end}
sleep 60 &
wait
"""
_PSORT = """#!/bin/sh
while [ $# -gt 1 ]; do [ "$1" = -w ] && out=$2; shift; done
cat "$1" >"$out"
"""


def _installed(folder: Path, *, end: str) -> None:
    for name, text in (("log2timeline", _LOG2TIMELINE.replace("{end}", end)), ("psort", _PSORT)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def _run(folder: Path) -> tuple[bool, Results]:
    results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now(), deadline=time.monotonic() + 4)
    device = folder / "disk.raw"
    device.write_bytes(bytes(4096))
    raw = folder / "raw"
    raw.mkdir()
    volume = Partition(0, 0, 4096, "whole", str(device))
    complete = plaso_program.run(
        device, [volume], results=results, raw=raw, coverage=Coverage(), files=100, windows=False
    )
    return complete, results


def test_a_plaso_that_is_stopped_leaves_what_its_storage_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plaso_program, "_SHORTEST", 4.0)
    monkeypatch.setenv("FORENSIC_PLASO", str(tmp_path))
    (tmp_path / "stored").write_text(json.dumps(EVENT) + "\n")
    _installed(tmp_path, end=f"trap 'cp {tmp_path}/stored $storage; exit 1' INT")
    complete, results = _run(tmp_path)
    assert not complete
    assert results.more_entries == 1
    assert results.more_timeline is not None and "Accepted password" in results.more_timeline.read_text()
    gaps = dict(results.gaps)
    assert gaps["plaso log2timeline"].startswith("killed: not finished after")
    assert "the timeline holds the 1 events" in gaps["plaso"]
    assert "succeeded" not in str(results.gaps)  # it did not


def test_a_plaso_that_left_nothing_is_no_failure_of_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plaso_program, "_SHORTEST", 2.0)
    monkeypatch.setenv("FORENSIC_PLASO", str(tmp_path))
    _installed(tmp_path, end="kill -KILL $$")
    complete, results = _run(tmp_path)
    assert (complete, results.more_entries) == (False, 0)
    gaps = results.gaps
    assert ("plaso log2timeline", "killed by signal 9, as the kernel does where memory runs out") in gaps
    assert any("without a storage file" in why for what, why in gaps if what == "plaso")


def test_workers_fit_into_the_memory_that_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    workers, memory = plaso_program._workers()
    assert 1 <= workers <= plaso_program.MAX_WORKERS
    assert memory <= plaso_program.WORKER_MEMORY
