"""Dirty twins of the lab's disks: the same system as a snapshot of the running instance has it, with its last changes in the journal.

The file system of an image is taken; blocks with inodes and names of the intruder's are moved into the journal as committed
transactions, and in their places stands what was there before: nothing. ext4's journal is made by tune2fs and written by
debugfs (both of e2fsprogs); XFS's log, which no tool but the kernel writes, is written here.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

from forensic_toolkit.filesystems.checksums import crc32c
from forensic_toolkit.filesystems.xfs_superblock import Superblock, superblock

_SECTOR, _RECORD = 512, 32768
_START, _COMMIT = 1, 2
_BUFFER, _INODES = 0x123C, 8 << 11  # XFS_LI_BUF, XFS_BLFT_DINO_BUF
# Blocks in one record of the log: together with their headers less than the 32 KiB that a record may have.
_IN_A_RECORD = 6


def tools() -> str | None:
    """Why the twins of ext4 cannot be made here, or None."""
    missing = [name for name in ("tune2fs", "debugfs", "e2fsck") if shutil.which(name) is None]
    return f"{', '.join(missing)} not on this machine (Debian: e2fsprogs)" if missing else None


def ext4(volume: Path, paths: list[str]) -> None:
    """Make a file with an ext4 its own dirty twin: the inodes of ``paths`` are in the journal alone."""
    subprocess.run(["tune2fs", "-j", "-J", "size=4", str(volume)], check=True, capture_output=True, timeout=60)
    blocks = sorted({_debugfs(volume, f"imap {path}") for path in paths})
    size = int(_field(volume, "Block size"))
    content = volume.read_bytes()
    listed, moved = volume.with_suffix(".list"), volume.with_suffix(".blocks")
    listed.write_text("".join(f"{block}\n" for block in blocks))
    moved.write_bytes(b"".join(content[block * size : (block + 1) * size] for block in blocks))
    script = volume.with_suffix(".script")
    script.write_text(f"journal_open\njournal_write -b {','.join(map(str, blocks))} {moved}\njournal_close\n")
    subprocess.run(["debugfs", "-w", "-f", str(script), str(volume)], check=True, capture_output=True, timeout=60)
    with volume.open("r+b") as file:
        for block in blocks:
            file.seek(block * size)
            file.write(bytes(size))


def _debugfs(volume: Path, request: str) -> int:
    """The block of an inode table that ``imap`` names."""
    done = subprocess.run(
        ["debugfs", "-R", request, str(volume)], check=True, capture_output=True, text=True, timeout=60
    )
    return int(done.stdout.split("located at block ")[1].split(",")[0])


def _field(volume: Path, name: str) -> str:
    done = subprocess.run(["dumpe2fs", "-h", str(volume)], check=True, capture_output=True, text=True, timeout=60)
    return next(line.split(":", 1)[1].strip() for line in done.stdout.splitlines() if line.startswith(name))


def xfs(volume: Path, inodes: list[int]) -> None:
    """Make a file with an XFS its own dirty twin: the blocks with these inodes are in the log alone."""
    content = bytearray(volume.read_bytes())
    head = superblock(bytes(content[:_SECTOR]))
    assert head is not None
    per_block = head.block // head.inode
    numbers = {number // per_block for number in inodes}
    places = sorted((number >> head.group_shift, number & (1 << head.group_shift) - 1) for number in numbers)
    offsets = [(group * head.group_blocks + block) * head.block for group, block in places]
    log = head.place(head.log_start)
    at = 2  # behind the record that mkfs wrote: a header and a block that says "unmounted"
    tail = 1 << 32 | at
    for start in range(0, len(offsets), _IN_A_RECORD):
        some = offsets[start : start + _IN_A_RECORD]
        record = _record(head, at, tail, {offset: bytes(content[offset : offset + head.block]) for offset in some})
        content[log + at * _SECTOR : log + at * _SECTOR + len(record)] = record
        at += len(record) // _SECTOR
        for offset in some:
            content[offset : offset + head.block] = bytes(head.block)
    volume.write_bytes(content)


def _record(head: Superblock, at: int, tail: int, blocks: dict[int, bytes]) -> bytes:
    """A record with one transaction that holds whole blocks (struct xlog_rec_header, xfs_buf_log_format)."""
    transaction = at
    regions = [struct.pack("<IIII", 0x5452414E, 40, 0, len(blocks))]
    for offset, content in blocks.items():
        chunks = len(content) // 128
        words = -(-chunks // 32)
        bits = ((1 << chunks) - 1).to_bytes(4 * words, "little")
        layout = struct.pack("<HHHHqI", _BUFFER, 2, _INODES, len(content) // _SECTOR, offset // _SECTOR, words)
        regions += [layout + bits, content]
    operations = [struct.pack(">IIBBH", transaction, 0, 0x69, _START, 0)]
    operations += [struct.pack(">IIBBH", transaction, len(region), 0x69, 0, 0) + region for region in regions]
    operations.append(struct.pack(">IIBBH", transaction, 0, 0x69, _COMMIT, 0))
    data = b"".join(operations)
    padded = bytearray(data.ljust(-(-len(data) // _SECTOR) * _SECTOR, b"\0"))
    assert len(padded) <= _RECORD
    words = []
    for start in range(0, len(padded), _SECTOR):
        words.append(bytes(padded[start : start + 4]))
        padded[start : start + 4] = struct.pack(">I", 1)
    cycles = b"".join(words).ljust(256, b"\0")
    lsn = 1 << 32 | at
    front = struct.pack(">IIIIQQ", 0xFEEDBABE, 1, 2, len(padded), lsn, tail)
    back = struct.pack(">II", at - 1 if at > 2 else 0, len(operations)) + cycles
    back += struct.pack(">I16sI", 1, head.raw[32:48], _RECORD) + bytes(4)
    checksum = crc32c(bytes(padded), seed=crc32c(front + bytes(4) + back))
    return (front + struct.pack("<I", checksum) + back).ljust(_SECTOR, b"\0") + bytes(padded)
