"""Verifies an image of many GiB with the product's own code and prints what that took, as JSON; a process of its own.

Usage: ``python -m tests.large_image GIB``. The image is sparse: a small machine's memory, then pages of which one in twenty is not
zero. It lands in zstd frames, as the capture document sends it, and its connection breaks again and again.
"""

from __future__ import annotations

import ctypes
import gc
import hashlib
import json
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import zstandard
from botocore.config import Config

from forensics.aws.s3 import EvidenceStore
from forensics.aws.s3_landing import LandingGateway
from forensics.errors import MemoryCaptureError
from forensics.memory.verification import MemoryVerification
from forensics.models.evidence import MemoryEvidence, MemoryOrigin, Outcome
from forensics.models.status_lines import CaptureStatus
from tests import memory_image
from tests.sparse_s3 import Sparse, serving
from tests.unit.builders import CASE_ID, INSTANCE
from tests.unit.recorders import FakeRecorder

MIB = 1024 * 1024
PREFIX = f"{CASE_ID}/memory-{INSTANCE}/20260101T000000000000Z"


def page_block() -> bytes:
    """16 MiB in which every twentieth page has something in it."""
    pages = [b"evidence".ljust(4096, b"\0") if n % 20 == 0 else bytes(4096) for n in range(4096)]
    return b"".join(pages)


def landed(gib: int) -> tuple[Sparse, CaptureStatus, int]:
    """What landed: the parts and their list; the status line that goes with them; the image's size."""
    small = memory_image.small_memory(16 * MIB)
    body, block = small.image[32:], page_block()
    blocks = gib * 64 - 1
    size = len(body) + blocks * len(block)
    head = struct.pack("<IIQQ8x", 0x4C694D45, 1, memory_image.FIRST, memory_image.FIRST + size - 1) + body
    packer = zstandard.ZstdCompressor(level=1)
    first, rest = packer.compress(head), packer.compress(block)
    lines = ["forensics-parts 1 avml zstd "]
    end = 0
    per_part = max(1, -(-blocks // 9_000))  # S3 has 10,000 parts in an upload
    left = blocks
    pieces: list[tuple[bytes, int]] = [(first, 1), (rest, blocks)]
    end, number = len(head), 1
    lines.append(f"1 {end} {len(first)} {hashlib.sha256(first).hexdigest()}")
    while left:
        take = min(per_part, left)
        number, end, left = number + 1, end + take * len(block), left - take
        lines.append(f"{number} {end} {take * len(rest)} {hashlib.sha256(rest * take).hexdigest()}")
    text = ("\n".join(lines) + "\n").encode()
    sparse = Sparse(objects={f"{PREFIX}/memory.lime": pieces, f"{PREFIX}/parts.txt": [(text, 1)]})
    # a kernel with its modules has 200,000 symbols: 9 MiB that both processes hold beside the image
    others = b"".join(
        b"%016x t a_function_of_the_kernel_%06d\n" % (0xFFFFFFFF90000000 + n * 64, n) for n in range(200_000)
    )
    for name, fact in (("version", small.banner), ("kallsyms", small.kallsyms + others)):
        sparse.objects[f"{PREFIX}/{name}"] = [(fact, 1)]
    claims = CaptureStatus.model_validate(
        {"status": "ok", "method": "avml", "encoding": "zstd", "bytes": end, "parts": number,
         "list_sha256": hashlib.sha256(text).hexdigest(), "symbols": {}}
    )  # fmt: skip
    return sparse, claims, end


def main(gib: int) -> dict[str, Any]:
    """Verify and say what was seen."""
    imported = memory_mib("VmRSS")
    stored = _Stored()
    sparse, claims, size = landed(gib)
    sparse.break_every = max(
        MIB, sum(len(piece) * times for piece, times in sparse.objects[f"{PREFIX}/memory.lime"]) // 7
    )
    with serving(sparse):
        client = boto3.client(
            "s3", endpoint_url=sparse.endpoint, region_name="eu-central-1", aws_access_key_id="testing",
            aws_secret_access_key="testing", config=Config(s3={"addressing_style": "path"}),
        )  # fmt: skip
        recorder = FakeRecorder()
        evidence_store = EvidenceStore(
            client, bucket="evidence", owner="222233334444", kms_key="key", mode="GOVERNANCE", retention_days=1
        )
        evidence_store.read_range = stored.read_range  # type: ignore[method-assign]
        gateways: Any = recorder.gateways
        for name, value in {"evidence": evidence_store, "landing": LandingGateway(client, bucket="landing")}.items():
            object.__setattr__(gateways, name, value)
        item = MemoryEvidence(
            evidence_id=f"memory-{INSTANCE}", outcome=Outcome.PENDING, size_bytes=size,
            origin=MemoryOrigin(claims=claims, landing_prefix=PREFIX, command_id="c", landed_bytes=1, upload_id="u"),
        )  # fmt: skip
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what making the image has left must not hide what the verification takes
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here (proc(5))
        before, began = memory_mib("VmRSS"), time.monotonic()
        with children_watched() as children:
            try:
                verified = MemoryVerification(recorder, item).run()
                outcome, reason = verified.outcome.value, verified.reason
            except MemoryCaptureError as error:
                outcome, reason = Outcome.FAILED.value, str(error)
    peak = memory_mib("VmHWM")
    return {
        "gib": gib, "bytes": size, "outcome": outcome, "reason": reason, "seconds": round(time.monotonic() - began, 1),
        "program_mib": imported, "grown_mib": peak - before, "confined_mib": max(children.values(), default=0), "parts": len(sparse.parts),
        "stored": sum(sparse.parts), "wrong": sparse.wrong, "breaks": sparse.breaks,
    }  # fmt: skip


def memory_mib(name: str, process: int | str = "self") -> int:
    """A figure of a process's memory in MiB, by its name in ``/proc/PID/status`` (proc(5)); 0 when it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith(f"{name}:")), 0)


@contextmanager
def children_watched() -> Iterator[dict[int, int]]:
    """The most that each child process has had resident (VmHWM counts from its exec on), in MiB by process id."""
    most: dict[int, int] = {}
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            for file in Path("/proc/self/task").glob("*/children"):
                with suppress(OSError):  # a thread that has just ended
                    for child in map(int, file.read_text().split()):
                        if b"forensics.confined" in Path(f"/proc/{child}/cmdline").read_bytes():
                            most[child] = max(most.get(child, 0), memory_mib("VmHWM", child))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        stop.set()
        thread.join()


class _Stored:
    """Pieces of the image as it was stored; only its beginning is known, the rest repeats. Nothing is held twice."""

    def __init__(self) -> None:
        self._head = memory_image.small_memory(16 * MIB).image
        self._block = page_block()

    def read_range(self, key: str, *, offset: int, size: int) -> bytes:
        """As :meth:`EvidenceStore.read_range`."""
        pieces = []
        while size:
            if offset < len(self._head):
                piece = self._head[offset : offset + size]
            else:
                at = (offset - len(self._head)) % len(self._block)
                piece = self._block[at : at + size]
            pieces.append(piece)
            offset, size = offset + len(piece), size - len(piece)
        return b"".join(pieces)


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
