"""``python -m forensics_verify.restore FOLDER OUT.raw``: a raw image from an exported disk, each block checked.

FOLDER is a disk's folder of the evidence store: ``disk-digest.json``, ``blocks-NNNNN.txt`` and ``data-NNNNN.bin``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, BinaryIO

SCHEMA = "forensics.disk-digest/1"
_ZEROS = bytes(4 * 1024 * 1024)


class RestoreError(ValueError):
    """The image cannot be made; the message names the file or block that is wrong."""


def restore(folder: Path, out: Path) -> str:
    """Write the raw image (sparse where the file system can) and return its SHA-256. Raises :class:`RestoreError`."""
    said = json.loads((folder / "disk-digest.json").read_bytes())
    if said.get("schema") != SCHEMA:
        raise RestoreError(f"{folder / 'disk-digest.json'} is not of schema {SCHEMA}")
    if not said["data"]:
        raise RestoreError("this disk was hashed, not exported: there is no data (forensics.export_raw_disks)")
    digest, size = hashlib.sha256(), int(said["block_bytes"])
    position = 0
    with out.open("xb") as image:
        image.truncate(int(said["volume_bytes"]))
        for segment, uri in zip(said["segments"], said["data"], strict=True):
            position = _segment(folder, segment, str(uri), image, digest, position=position, size=size)
    _zeros(digest, int(said["volume_bytes"]) - position * size)
    if digest.hexdigest() != said["sha256"]:
        raise RestoreError(f"the image has SHA-256 {digest.hexdigest()}, {said['sha256']} was recorded")
    return digest.hexdigest()


def _segment(
    folder: Path, segment: dict[str, Any], uri: str, image: BinaryIO, digest: Any, *, position: int, size: int
) -> int:
    """Write one segment's blocks; returns the number after its last block."""
    listed = folder / str(segment["uri"]).rsplit("/", 1)[1]
    lines = listed.read_bytes()
    if hashlib.sha256(lines).hexdigest() != segment["sha256"]:
        raise RestoreError(f"{listed} was changed: its SHA-256 is not the one in disk-digest.json")
    with (folder / uri.rsplit("/", 1)[1]).open("rb") as data:
        for line in lines.decode("ascii").splitlines():
            index, sha256 = line.split()
            block = data.read(size)
            if hashlib.sha256(block).hexdigest() != sha256:
                raise RestoreError(f"block {index} in {data.name} was changed or is missing")
            _zeros(digest, (int(index) - position) * size)
            digest.update(block)
            image.seek(int(index) * size)
            image.write(block)
            position = int(index) + 1
        if data.read(1):
            raise RestoreError(f"{data.name} holds more than its blocks")
    return position


def _zeros(digest: Any, count: int) -> None:
    while count > 0:
        digest.update(_ZEROS[: min(count, len(_ZEROS))])
        count -= len(_ZEROS)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when the image is the one that was hashed."""
    parser = argparse.ArgumentParser(prog="python -m forensics_verify.restore", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args(arguments)
    try:
        print(f"{restore(given.folder, given.out)}  {given.out}")
    except (RestoreError, OSError, KeyError, ValueError) as error:
        print(f"Error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
