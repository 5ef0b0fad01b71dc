"""The full profile of ``disk``: run plaso's log2timeline and psort and convert their events to Timesketch's format.

plaso reads all partitions and hashes every file (SHA-256). Field names: Timesketch's import guide (``message``,
``datetime``, ``timestamp_desc``).
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import resource
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.entries import Partition
from forensic_toolkit.printable import printable
from forensic_toolkit.readers.coverage import Coverage, far_too_little
from forensic_toolkit.results import Results, ToolRun
from forensic_toolkit.sandbox import subprograms
from forensic_toolkit.times import timesketch

VERSION = "20260720"
_COPY = 4 << 20
# plaso's "linux" preset does not include web logs.
LINUX = "linux,text/apache_access"
WINDOWS = "win7,mft,usnjrnl"
MAX_WORKERS = 8
WORKER_MEMORY = 2 << 30
# Seconds that log2timeline has to stop its workers and close its storage once its time is over.
_GRACE = 90.0
_SHORTEST = 60.0  # seconds for each of the two programs, however little is left
# Share of the time kept for psort, which takes a fifth of the time of log2timeline.
_SORTING = 0.25
# Timesketch does not index longer strings (its import guide).
MAX_STRING = 32_766
_KEPT = (
    *("data_type", "parser", "username", "user_identifier", "hostname", "ip_address", "sha256_hash", "inode"),
    *("file_size", "pid", "command", "http_request", "http_response_code", "is_allocated", "url", "status"),
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# plaso's data types for the kinds of artifact that this toolkit counts.
_SAME: dict[str, tuple[str, ...]] = {
    "log-in log": ("syslog:",),
    "system log": ("syslog:",),
    "journal": ("systemd:journal",),
    "log-in records": ("linux:utmp",),
    "records of failed log-ins": ("linux:utmp",),
    "web log": ("apache:access",),
}


def programs() -> tuple[str, str] | None:
    """The paths of log2timeline and psort: from FORENSIC_PLASO, the AMI, or the PATH."""
    folders = [os.environ.get("FORENSIC_PLASO", ""), str(Path(sys.prefix).parent / "plaso" / "bin"), "/opt/plaso/bin"]
    path = os.pathsep.join([*filter(None, folders), os.environ.get("PATH", "")])
    found = [shutil.which(name, path=path) for name in ("log2timeline", "psort")]
    return (found[0], found[1]) if found[0] and found[1] else None


def run(
    device: Path,
    volumes: list[Partition],
    *,
    results: Results,
    raw: Path,
    coverage: Coverage,
    files: int,
    windows: bool,
) -> bool:
    """Write the timeline of all ``volumes``; ``coverage`` and ``files`` are what plaso's event counts are compared with.

    True when plaso came to its end. Otherwise the timeline has what its storage held by then (perhaps nothing), and gaps say
    what ended it. Raises EvidenceError when plaso is not installed.
    """
    found = programs()
    if found is None:
        raise EvidenceError(
            "plaso is not installed (log2timeline and psort are neither in FORENSIC_PLASO nor on the PATH): the full "
            "timeline needs a forensic AMI with plaso; the quick profile works without it"
        )
    kinds: Counter[str] = Counter()
    outputs, complete = [], True
    for number, source in enumerate(_sources(device, volumes, folder=raw.parent, results=results)):
        folder = raw.parent / f"plaso{number}"
        folder.mkdir()
        storage, output = folder / "storage.plaso", folder / "events.jsonl"
        seconds = max(_SHORTEST, results.seconds_left())
        ended = _collect(found[0], device=source, storage=storage, results=results, seconds=seconds, windows=windows)
        sorted_ = _sort(found[1], storage=storage, output=output, results=results)
        complete = complete and ended and sorted_
        if output.exists():
            outputs.append(output)
        for log in folder.glob("*.log*"):
            shutil.copy(log, raw / f"plaso{number}-{log.name}")
    timeline = raw.parent / "plaso.jsonl"
    with timeline.open("w", encoding="utf-8") as file:
        streams = [events(output, kinds=kinds) for output in outputs]
        for event in heapq.merge(*streams, key=lambda event: str(event["datetime"])):
            file.write(json.dumps(event, ensure_ascii=False) + "\n")
    results.more_timeline, results.more_entries = timeline, kinds.total()
    results.counts |= {f"plaso_{name}": count for name, count in kinds.most_common(40)}
    if complete:
        _compare(kinds, results=results, coverage=coverage, files=files)
    else:
        why = f"plaso did not come to its end: the timeline holds the {kinds.total()} events that it had stored by then"
        results.gap("plaso", why)
    return complete


def _sources(device: Path, volumes: list[Partition], *, folder: Path, results: Results) -> Iterator[Path]:
    """The device, and a sparse copy of each volume that does not lie on it as it is examined.

    That is so for logical volumes and arrays, whose pieces plaso's reader does not put together, and for a file system whose
    journal was replayed. Where the room does not suffice for such a copy the device itself is read, and a gap says so.
    """
    copies, whole = [], any(volume.storage is None for volume in volumes)
    for volume in volumes:
        if volume.storage is None:
            continue
        largest, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        room = shutil.disk_usage(folder).free * 0.8
        if volume.length > (room if largest == resource.RLIM_INFINITY else min(room, largest)):
            on_device = bool(volume.device)
            whole |= on_device
            why = (
                f"there is no room for plaso's copy of {volume.length} bytes: {room:.0f} bytes may be used in {folder} "
                f"(FORENSIC_WORK), files of {largest} bytes are allowed; "
                + ("plaso reads it without what its journal holds; " if on_device else "")
                + "the quick profile has read this volume"
            )
            results.gap(f"plaso {volume.label}", why)
            continue
        copy = folder / f"volume{volume.number}.raw"
        _assemble(volume, into=copy)
        copies.append(copy)
    if whole:
        yield device
    yield from copies


def _assemble(volume: Partition, *, into: Path) -> None:
    contents, at = volume.contents(), 0
    with into.open("wb") as file:
        file.truncate(contents.size)
        while at < contents.size and (data := contents.read(at, _COPY)):
            if any(data):
                file.seek(at)
                file.write(data)
            at += len(data)


def _collect(program: str, *, device: Path, storage: Path, results: Results, seconds: float, windows: bool) -> bool:
    workers, memory = _workers()
    argv = [program, "--quiet", "--unattended", "--status_view", "none", "--storage_file", str(storage)]
    argv += ["--logfile", str(storage.with_name("log2timeline.log")), "--temporary_directory", str(storage.parent)]
    argv += ["--partitions", "all", "--volumes", "none", "--vss_stores", "all", "--hashers", "sha256"]
    argv += ["--parsers", WINDOWS if windows else LINUX, "--timezone", "UTC", "--workers", str(workers)]
    argv += ["--worker_memory_limit", str(memory), str(device)]
    # Without a storage there was nothing to close.
    return _run("log2timeline", argv, results=results, seconds=seconds * (1 - _SORTING), folder=storage.parent)


def _workers() -> tuple[int, int]:
    """How many workers, and the bytes that each may use: all together half of the memory that is free, for volumes side by side."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    workers = max(1, min(MAX_WORKERS, os.cpu_count() or 1, free // 2 // WORKER_MEMORY))
    return workers, max(256 << 20, min(WORKER_MEMORY, free // 2 // workers))


def _sort(program: str, *, storage: Path, output: Path, results: Results) -> bool:
    argv = [
        program,
        "--quiet",
        "--unattended",
        "--status_view",
        "none",
        "--logfile",
        str(storage.with_name("psort.log")),
    ]
    argv += ["-o", "json_line", "-w", str(output), str(storage)]
    if not storage.exists():
        results.gap("plaso", "log2timeline ended without a storage file: nothing of this disk was parsed")
        return False
    ended = _run("psort", argv, results=results, seconds=max(_SHORTEST, results.seconds_left()), folder=storage.parent)
    if not output.exists():
        results.gap("plaso", "psort ended without a timeline: what log2timeline collected cannot be read")
        return False
    return ended


def _run(name: str, argv: list[str], *, results: Results, seconds: float, folder: Path) -> bool:
    log = folder / f"{name}.out.log"
    started = time.monotonic()
    process = subprograms.start(argv, folder=folder, stdout=log)
    grace = min(_GRACE, seconds / 4)
    ended = subprograms.finish(process, stdout=log, seconds=seconds - grace, started=started, grace=grace)
    results.runs.append(ToolRun(f"plaso {name}", VERSION, argv[1:], ended.exit, ended.seconds, None, ended.error))
    if ended.error is not None:
        results.gap(f"plaso {name}", f"killed: {ended.error}" if "stopped" in ended.error else ended.error)
    return ended.error is None


def events(path: Path, *, kinds: Counter[str]) -> Iterator[dict[str, Any]]:
    """psort's events in Timesketch's format and in order; lines that cannot be parsed are counted as ``broken``."""
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                event = json.loads(line)
                moment = _EPOCH + timedelta(microseconds=int(event["timestamp"]))
            except (ValueError, KeyError, TypeError, OverflowError):
                kinds["broken"] += 1
                continue
            kinds[str(event.get("data_type"))] += 1
            if moment == _EPOCH:
                # plaso's value for "no time": every timeline would start in 1970.
                continue
            yield _timesketch(event, moment=moment)


def _timesketch(event: dict[str, Any], *, moment: datetime) -> dict[str, Any]:
    path = str(event.get("filename") or (event.get("pathspec") or {}).get("location") or "")
    kept = {name: event[name] for name in _KEPT if event.get(name) is not None}
    return {
        "message": printable(event.get("message", ""), limit=MAX_STRING // 4),
        "datetime": timesketch(moment),
        "timestamp_desc": printable(event.get("timestamp_desc", "Time")),
        "source": printable(path, limit=300),
        **{name: value if isinstance(value, bool | int) else printable(value) for name, value in kept.items()},
    }


def _compare(kinds: Counter[str], *, results: Results, coverage: Coverage, files: int) -> None:
    """Compare plaso's events with what the toolkit itself counted on the same disk."""
    stat = kinds["fs:stat"]
    if short := far_too_little("plaso", rows=stat, present=files, what="files in the file systems"):
        results.gap("coverage: plaso fs:stat", short)
    present: Counter[tuple[str, ...]] = Counter()
    for kind, names in _SAME.items():
        present[names] += coverage.parsed(kind)
    for names, count in present.items():
        rows = sum(number for name, number in kinds.items() if name.startswith(names))
        if short := far_too_little("plaso", rows=rows, present=count, what="in the files of that kind"):
            results.gap(f"coverage: plaso {names[0].rstrip(':')}", short)
    if kinds["broken"]:
        results.gap("coverage: plaso", f"{kinds['broken']} events could not be parsed")
