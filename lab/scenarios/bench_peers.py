"""``make bench-peers``: this product's tools beside those that others use for the same, on the same bytes: one table, one run, ratios.

Compared is what can be run on this machine; what is missing is said. The two of a pair run one after the other. Nothing fails because of
a time: a table with the machine's load is printed, and a row whose outcomes differ says so.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from forensics.aws.ebs_direct import EbsDirectGateway
from forensics.models.disk import BLOCK_BYTES
from lab.evidence import memory
from lab.paths import ROOT
from lab.tools.disks import build as lab_disk
from lab.tools.disks.build import WEB_SERVER, Layout

TOOLS = ROOT / ".venv-tools" / "bin"
PLASO = ROOT / ".venv-plaso" / "bin" / "log2timeline.py"
SOURCES = ROOT / "ami" / "toolkit" / "src"
MIB = 1 << 20
QUESTIONS = "authlog,wtmp,btmp,commandhistory,cronjobs"
# What the sender does with each piece of the image (ssm_documents/acquire_memory_linux.yaml): compress as fast as lz4, hash stream and part.
_OURS = 'tee >(sha256sum >"$2/whole") <"$1" | zstd --fast=3 --single-thread -q -c | sha256sum >"$2/parts"; wait'
_PEER = 'tee >(sha256sum >"$2/whole") <"$1" | gzip -c | sha256sum >"$2/packed"; wait'
_PLUGINS = """
import json, sys
from pathlib import Path
from forensic_toolkit.runners import volatility
work = Path(sys.argv[3])
found = volatility.analyse(Path(sys.argv[1]), symbols=Path(sys.argv[2]), work=work, raw=work / "raw", yara="", profile="quick")
print(json.dumps({run.argv[0]: [run.seconds, run.rows, run.error] for run in found.runs}))
"""
_TABLE = """
import lzma, sys
from pathlib import Path
from forensic_toolkit.symbols import isf
folder = Path(sys.argv[1])
facts = isf.KernelFacts(**{name: (folder / name).read_bytes() for name in ("btf", "kallsyms", "version")})
Path(sys.argv[2]).write_bytes(lzma.compress(isf.dump(isf.build(facts)), preset=0))
"""
_DISK = """
import json, sys, tempfile
from pathlib import Path
from forensic_toolkit.commands import disk
from forensic_toolkit.results import Results
from forensic_toolkit.times import now
results = Results("fc-20260101-0123456789", "disk-1", "disk", started=now())
with tempfile.TemporaryDirectory() as folder:
    disk.analyse(Path(sys.argv[1]), results=results, raw=Path(folder), profile="quick")
print(json.dumps(results.comparable))
"""


class PeerError(RuntimeError):
    """A tool could not be run; the message has its last words."""


@dataclass(frozen=True)
class Row:
    """One pair: seconds of the peer's tool and of ours for the same bytes; ``note`` says what is not the same."""

    what: str
    peer: str
    theirs: float | None
    ours: float | None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times faster ours is."""
        return self.theirs / self.ours if self.theirs and self.ours else None


def _run(argv: Sequence[str], *, seconds: float) -> tuple[float, str]:
    """Seconds and stdout of a program; raises :class:`PeerError`."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), "HOME": os.environ.get("HOME", "/")}
    began = time.monotonic()
    try:
        done = subprocess.run(list(argv), env=env, capture_output=True, text=True, check=False, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerError(f"{Path(argv[0]).name}: {error}") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise PeerError(f"{Path(argv[0]).name} ended with {done.returncode}: {last[:200]}")
    return time.monotonic() - began, done.stdout


def _missing(what: str, peer: str, path: Path) -> Row | None:
    if path.exists():
        return None
    return Row(what, peer, None, None, f"not run: {path.name} is not on this machine")


def pipe(image: Path, folder: Path, *, seconds: float) -> list[Row]:
    """Hash and compress an image of memory as a stream, without the upload."""
    took, digests = {}, {}
    for name, script in (("theirs", _PEER), ("ours", _OURS)):
        took[name], _ = _run(["bash", "-o", "pipefail", "-c", script, "pipe", str(image), str(folder)], seconds=seconds)
        digests[name] = (folder / "whole").read_text("ascii").split()[0]
    expected = hashlib.sha256(image.read_bytes()).hexdigest()
    note = "" if set(digests.values()) == {expected} else "THE DIGESTS DIFFER"
    size = image.stat().st_size / MIB
    return [
        Row(
            f"stream of {size:.0f} MiB, hashed and packed", "tee | gzip | sha256sum", took["theirs"], took["ours"], note
        )
    ]


def plugins(files: memory.MemoryFiles, folder: Path, *, seconds: float, most: int = 0) -> list[Row]:
    """Stock ``vol``, a process for each plugin of the quick set, against the set, in which all share what is read once.

    Both begin without a cache, as on a new machine. A plugin by itself has no ratio: the start is shared by ours. ``most``: so many plugins of theirs; 0: all.
    """
    what = "plugins of Volatility"
    if row := _missing(what, "vol", TOOLS / "vol"):
        return [row]
    place = folder / "symbols" / "linux"
    place.mkdir(parents=True)
    python = str(TOOLS / "python")
    _run([python, "-c", _TABLE, str(files.memory.parent), str(place / "kernel.json.xz")], seconds=seconds)
    whole, said = _run([python, "-c", _PLUGINS, str(files.memory), str(place.parent), str(folder)], seconds=seconds)
    runs = json.loads(said.splitlines()[-1])
    rows = []
    for name in list(runs)[: most or None]:
        argv = [str(TOOLS / "vol"), "-q", "-r", "json", "--offline", "--cache-path", str(folder / "cache")]
        argv += ["-s", str(place.parent), "-f", str(files.memory)]
        try:
            theirs, _ = _run([*argv, name], seconds=seconds)
        except PeerError as error:
            rows.append(Row(name, "vol, a process of its own", None, None, f"not run: {error}"))
            continue
        rows.append(
            Row(name, "vol, a process of its own", theirs, None, f"ours {runs[name][0]:.2f} s without the start")
        )
    total = sum(row.theirs or 0.0 for row in rows)
    ran = sum(row.theirs is not None for row in rows)
    return [
        *rows,
        Row("the quick set", "vol, one after the other", total, whole, f"theirs {ran} plugins, ours {len(runs)}"),
    ]


def questions(image: Path, *, seconds: float) -> list[Row]:
    """``target-query`` for the questions that the comparison asks, against the whole quick profile of the same volume."""
    what = f"disk: {QUESTIONS}"
    if row := _missing(what, "target-query", TOOLS / "target-query"):
        return [row]
    theirs, _ = _run([str(TOOLS / "target-query"), "--no-cache", "-j", "-f", QUESTIONS, str(image)], seconds=seconds)
    ours, said = _run([str(TOOLS / "python"), "-c", _DISK, str(image)], seconds=seconds)
    note = "" if any(json.loads(said.splitlines()[-1]).values()) else "OURS COUNTED NOTHING"
    return [Row(what, "target-query", theirs, ours, note or "ours answers all rules as well")]


def timeline(image: Path, folder: Path, *, seconds: float) -> list[Row]:
    """log2timeline for the same disk, where plaso is installed (``make setup-plaso``)."""
    what = "disk: timeline of every file"
    if row := _missing(what, "log2timeline", PLASO):
        return [row]
    argv = [
        str(PLASO),
        "-q",
        "--status_view",
        "none",
        "--unattended",
        "--storage_file",
        str(folder / "timeline.plaso"),
        str(image),
    ]
    theirs, _ = _run(argv, seconds=seconds)
    ours, _ = _run([str(TOOLS / "python"), "-c", _DISK, str(image)], seconds=seconds)
    return [Row(what, "log2timeline", theirs, ours, "ours: the quick profile, whose timeline has files and logs only")]


@contextmanager
def snapshot_server(blocks: int, *, delay: float) -> Iterator[str]:
    """EBS direct on loopback with so many blocks, each given after ``delay`` seconds (form: botocore's model of EBS); its address."""
    data = hashlib.sha256(b"block").digest() * (BLOCK_BYTES // 32)
    checksum = base64.b64encode(hashlib.sha256(data).digest()).decode()

    class Ebs(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if urlsplit(self.path).path.endswith("/blocks"):
                listed = [{"BlockIndex": n, "BlockToken": "dG9rZW4="} for n in range(blocks)]
                answer = {"Blocks": listed, "BlockSize": BLOCK_BYTES, "VolumeSize": 1, "ExpiryTime": 4e9}
                self._send(json.dumps(answer).encode(), {"content-type": "application/json"})
                return
            time.sleep(delay)
            headers = {
                "x-amz-Data-Length": str(len(data)),
                "x-amz-Checksum": checksum,
                "x-amz-Checksum-Algorithm": "SHA256",
            }
            self._send(data, headers)

        def _send(self, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is written for a request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ebs)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def snapshot(blocks: int, *, delay: float) -> list[Row]:
    """Blocks of a snapshot, one after the other as a loop over boto3 reads them, against ours."""
    import boto3
    from botocore.config import Config

    with snapshot_server(blocks, delay=delay) as url:
        session = boto3.Session("none", "none", region_name="eu-central-1")
        client = session.client("ebs", endpoint_url=url, config=Config(max_pool_connections=50))
        gateway = EbsDirectGateway(client, account_id="222233334444", region="eu-central-1")
        digests, took = [], []
        for threads in (1, None):
            began, digest = time.monotonic(), hashlib.sha256()
            for block in gateway.blocks("snap-1", threads=threads) if threads else gateway.blocks("snap-1"):
                digest.update(block.data)
            took.append(time.monotonic() - began)
            digests.append(digest.digest())
    note = "" if digests[0] == digests[1] else "THE DIGESTS DIFFER"
    return [
        Row(
            f"snapshot, {blocks} blocks at {delay * 1000:.0f} ms", "sequential GetSnapshotBlock", took[0], took[1], note
        )
    ]


def table(rows: Sequence[Row]) -> str:
    """The rows as text, with machine, load and date."""
    cpu = f"{platform.machine()}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {cpu}",
        "",
        "| What | Peer | theirs, s | ours, s | ratio | |",
        "|---|---|---:|---:|---:|---|",
    ]

    def cell(value: float | None, form: str) -> str:
        return format(value, form) if value is not None else "-"

    lines += [
        f"| {r.what} | {r.peer} | {cell(r.theirs, '.2f')} | {cell(r.ours, '.2f')} | {cell(r.ratio, '.1f')} | {r.note} |"
        for r in rows
    ]
    return "\n".join(lines)


def measured(parts: Sequence[tuple[str, Callable[[], list[Row]]]]) -> list[Row]:
    """The rows of all parts; a part that cannot be run is a row that says why."""
    rows: list[Row] = []
    for name, part in parts:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            rows += part()
        except PeerError as error:
            rows.append(Row(name, "", None, None, f"not run: {error}"))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; exit status 1 when two tools gave different bytes."""
    parser = argparse.ArgumentParser(prog="python -m lab.scenarios.bench_peers", description=__doc__)
    parser.add_argument(
        "--blocks", type=int, default=2000, help="blocks of the snapshot (default: %(default)s, 1,000 MiB)"
    )
    parser.add_argument("--delay-ms", type=float, default=20.0, help="time of a block (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=1800.0, help="longest time of one program (default: %(default)s)"
    )
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        files = memory.unpack(folder)
        image = lab_disk.build(WEB_SERVER, folder / "disk.raw", layout=Layout.GPT_EXT4).image
        rows = measured((
            ("stream", lambda: pipe(files.memory, folder, seconds=given.seconds)),
            ("snapshot", lambda: snapshot(given.blocks, delay=given.delay_ms / 1000)),
            ("disk questions", lambda: questions(image, seconds=given.seconds)),
            ("disk timeline", lambda: timeline(image, folder, seconds=given.seconds)),
            ("memory plugins", lambda: plugins(files, folder, seconds=given.seconds, most=given.plugins)),
        ))  # fmt: skip
    print(table(rows))
    return 1 if any(row.note.isupper() for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
