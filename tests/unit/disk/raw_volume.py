"""EBS direct over a raw file: real bytes, AWS's answers, a delay for each block."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import random
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

from lab.emulator import images

BLOCK = 512 * 1024


def raw_image(path: Path, *, written: list[int], size: int, tail: bytes = b"") -> Path:
    """A sparse raw image with random blocks at these places."""
    chance = random.Random(len(written))
    with path.open("wb") as file:
        file.truncate(size)
        for index in written:
            file.seek(index * BLOCK)
            file.write(chance.randbytes(BLOCK) if chance.random() < 0.9 else os.urandom(1).ljust(BLOCK, b"\1"))
        if tail:
            file.seek(size - len(tail))
            file.write(tail)
    return path


def sha256sum(path: Path) -> str:
    """What coreutils say."""
    return subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout.split()[0]


class RawVolume:
    """What ``boto3.client("ebs")`` answers for a snapshot of this raw image."""

    def __init__(self, path: Path, *, gib: int, latency: float = 0.0, page: int = 10_000) -> None:
        self._path = path
        self._gib = gib
        self._page = page
        self._latency = latency
        self.indexes = images.block_indexes(path)
        self._checksums: dict[int, str] = {}
        self.damaged: dict[int, int] = {}
        self.fail_at: int | None = None
        self.reads = 0
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def prepare(self) -> RawVolume:
        """Compute the checksums beforehand: EBS does not do it on the reader's processor."""
        self._checksums = {i: _checksum(images.read_block(self._path, index=i)) for i in self.indexes}
        return self

    def list_snapshot_blocks(
        self, *, SnapshotId: str, MaxResults: int, StartingBlockIndex: int = 0, NextToken: str | None = None
    ) -> dict[str, Any]:
        """A page of the written blocks."""
        start = int(NextToken) if NextToken else StartingBlockIndex
        rest = [i for i in self.indexes if i >= start]
        page = rest[: min(self._page, MaxResults)]
        more = {"NextToken": str(rest[len(page)])} if len(rest) > len(page) else {}
        blocks = [{"BlockIndex": i, "BlockToken": f"{SnapshotId}:{i}"} for i in page]
        size = self._path.stat().st_size // self._gib
        return {"Blocks": blocks, "BlockSize": BLOCK, "VolumeSize": size, **more}

    def get_snapshot_block(self, *, SnapshotId: str, BlockIndex: int, BlockToken: str) -> dict[str, Any]:
        """One block with its checksum."""
        assert BlockToken == f"{SnapshotId}:{BlockIndex}"
        with self._lock:
            self.reads += 1
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            if self.fail_at is not None and BlockIndex >= self.fail_at:
                raise ConnectionError("the worker was killed")
            if self._latency > 0:
                time.sleep(self._latency)
            data = images.read_block(self._path, index=BlockIndex)
            checksum = self._checksums.get(BlockIndex) or _checksum(data)
            if self.damaged.get(BlockIndex, 0) > 0:
                self.damaged[BlockIndex] -= 1
                data = b"\xff" + data[1:]
            return {"BlockData": io.BytesIO(data), "Checksum": checksum, "ChecksumAlgorithm": "SHA256"}
        finally:
            with self._lock:
                self.at_once -= 1


def _checksum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()
