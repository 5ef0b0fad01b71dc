"""The journal of ext3 and ext4, replayed into an overlay as a mount would replay it.

A snapshot of a running system finds the last changes of files and folders only in the journal. Sources: the kernel's
include/linux/jbd2.h, fs/jbd2/recovery.c and fs/ext4/ext4.h.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from forensic_toolkit.errors import EvidenceError
from forensic_toolkit.filesystems.checksums import kernel_crc32c
from forensic_toolkit.filesystems.ext4_inodes import Superblock, journal_blocks
from forensic_toolkit.filesystems.overlay import Overlay
from forensic_toolkit.filesystems.storage import Storage

MAGIC = 0xC03B3998
_DESCRIPTOR, _COMMIT, _SUPER_1, _SUPER_2, _REVOKE = 1, 2, 3, 4, 5
_REVOKES, _64BIT, _ASYNC, _CHECKSUM_2, _CHECKSUM_3, _FAST_COMMIT = 1, 2, 4, 8, 16, 32
_KNOWN = _REVOKES | _64BIT | _ASYNC | _CHECKSUM_2 | _CHECKSUM_3 | _FAST_COMMIT
_ESCAPED, _SAME_UUID, _LAST = 1, 2, 8
_FAST_BLOCKS = 256  # when the superblock states no number of them
_FAST_HEAD = 9  # EXT4_FC_TAG_HEAD
_HEADER = struct.Struct(">III")
MAX_JOURNAL = 4 << 30


@dataclass(slots=True)
class Replay:
    """What a replay did: transactions, blocks, and what of the journal could not be replayed."""

    transactions: int = 0
    blocks: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Journal:
    """The journal's own superblock. Positions are block numbers within the journal; ``last`` is behind the usable ones."""

    places: list[int]  # block of the file system for each block of the journal
    block: int
    first: int
    last: int
    sequence: int
    start: int
    features: int
    seed: int
    fast: int  # number of fast-commit blocks behind ``last``

    @property
    def checksums(self) -> bool:
        return bool(self.features & (_CHECKSUM_2 | _CHECKSUM_3))

    def after(self, position: int, count: int = 1) -> int:
        position += count
        return position - (self.last - self.first) if position >= self.last else position


@dataclass(frozen=True, slots=True)
class _Tag:
    target: int  # block of the file system
    position: int  # of its new content in the journal
    escaped: bool
    checksum: int


@dataclass(slots=True)
class _Transaction:
    sequence: int
    tags: list[_Tag] = field(default_factory=list)
    revoked: list[int] = field(default_factory=list)


def replay(volume: Storage, superblock: Superblock) -> tuple[Overlay, Replay]:
    """An overlay with every committed transaction of the journal.

    Raises EvidenceError when the journal lies on another device, cannot be found, or has a format that is not known.
    """
    overlay, done = Overlay(volume, block=superblock.block), Replay()
    if superblock.journal_device:
        raise EvidenceError("its journal is on another device, which is not part of this volume")
    journal = _journal(volume, superblock)
    if journal.start == 0:
        _fast_commits(volume, journal, sequence=journal.sequence, done=done)
        return overlay, done
    transactions = list(_committed(volume, journal, done))
    revoked: dict[int, int] = {}
    for transaction in transactions:
        revoked.update((block, transaction.sequence) for block in transaction.revoked)
    for transaction in transactions:
        done.transactions += 1
        for tag in transaction.tags:
            # A block that a later transaction gave up may hold a file's data by now (jbd2_journal_test_revoke).
            if not (tag.target in revoked and revoked[tag.target] - transaction.sequence >= 0):
                _write(volume, journal, tag, transaction.sequence, overlay=overlay, done=done)
    following = transactions[-1].sequence + 1 if transactions else journal.sequence
    _fast_commits(volume, journal, sequence=following, done=done)
    return overlay, done


def _journal(volume: Storage, superblock: Superblock) -> _Journal:
    places = journal_blocks(volume, superblock)
    if not places:
        raise EvidenceError("its journal was not found")
    head = volume.read(places[0] * superblock.block, 1024)
    magic, kind, _ = _HEADER.unpack_from(head)
    if magic != MAGIC or kind not in (_SUPER_1, _SUPER_2):
        raise EvidenceError("its journal has no valid superblock")
    block, length, first, sequence, start = struct.unpack_from(">IIIII", head, 12)
    features = struct.unpack_from(">I", head, 40)[0] if kind == _SUPER_2 else 0
    if features & ~_KNOWN:
        raise EvidenceError(f"its journal has features that are not known here ({features & ~_KNOWN:#x})")
    if block != superblock.block or not 0 < first < length or length * block > MAX_JOURNAL:
        raise EvidenceError(f"its journal has an implausible superblock (block size {block}, {length} blocks)")
    seed = kernel_crc32c(0xFFFFFFFF, head[48:64])
    if features & (_CHECKSUM_2 | _CHECKSUM_3):
        found = struct.unpack_from(">I", head, 252)[0]
        if kernel_crc32c(0xFFFFFFFF, head[:252] + bytes(4) + head[256:]) != found:
            raise EvidenceError("its journal's superblock does not match its checksum")
    fast = (struct.unpack_from(">I", head, 84)[0] or _FAST_BLOCKS) if features & _FAST_COMMIT else 0
    last = min(length, len(places)) - fast
    if last <= first or (start and not first <= start < last):
        raise EvidenceError(f"its journal has an implausible superblock (starts at block {start} of {last})")
    return _Journal(places, block, first, last, sequence, start, features, seed, fast)


def _read(volume: Storage, journal: _Journal, position: int) -> bytes:
    return volume.read(journal.places[position] * journal.block, journal.block)


def _committed(volume: Storage, journal: _Journal, done: Replay) -> Iterator[_Transaction]:
    """The transactions in order, up to the first that was not committed (do_one_pass, PASS_SCAN)."""
    position, current = journal.start, _Transaction(journal.sequence)
    blocks = 0
    while blocks < journal.last - journal.first:
        content = _read(volume, journal, position)
        if len(content) < journal.block:
            done.problems.append(
                f"block {position} of the journal cannot be read; the changes from there on are missing"
            )
            return
        magic, kind, sequence = _HEADER.unpack_from(content)
        if magic != MAGIC or sequence != current.sequence:
            return
        position, blocks = journal.after(position), blocks + 1
        if kind == _DESCRIPTOR:
            if not _sound(content, journal):
                _broken(sequence, "a list of blocks", done)
                return
            tags = list(_tags(content, journal, position))
            current.tags += tags
            position, blocks = journal.after(position, len(tags)), blocks + len(tags)
        elif kind == _REVOKE:
            if not _sound(content, journal):
                _broken(sequence, "a list of revoked blocks", done)
                return
            current.revoked += _revoked(content, journal)
        elif kind == _COMMIT:
            if journal.checksums and not _commit_sound(content, journal):
                _broken(sequence, "its commit block", done)
                return
            yield current
            current = _Transaction(current.sequence + 1 & 0xFFFFFFFF)
        else:
            return


def _broken(sequence: int, what: str, done: Replay) -> None:
    done.problems.append(
        f"transaction {sequence} of the journal is damaged ({what} does not match its checksum); "
        "its changes and all later ones are missing"
    )


def _sound(content: bytes, journal: _Journal) -> bool:
    """Whether a descriptor or revoke block matches the checksum in its last four bytes; without checksums always."""
    if not journal.checksums:
        return True
    return kernel_crc32c(journal.seed, content[:-4] + bytes(4)) == struct.unpack(">I", content[-4:])[0]


def _commit_sound(content: bytes, journal: _Journal) -> bool:
    found = struct.unpack_from(">I", content, 16)[0]
    return kernel_crc32c(journal.seed, content[:16] + bytes(4) + content[20:]) == found


def _tags(content: bytes, journal: _Journal, position: int) -> Iterator[_Tag]:
    """The blocks that a descriptor lists; their contents follow it (struct journal_block_tag_s, journal_block_tag3_s)."""
    third, wide = bool(journal.features & _CHECKSUM_3), bool(journal.features & _64BIT)
    size = 16 if third else 8 + (4 if wide else 0) + (2 if journal.features & _CHECKSUM_2 else 0)
    at, end = _HEADER.size, len(content) - (4 if journal.checksums else 0)
    while at + size <= end:
        if third:
            low, flags, high, checksum = struct.unpack_from(">IIII", content, at)
        else:
            low, checksum, flags = struct.unpack_from(">IHH", content, at)
            high = struct.unpack_from(">I", content, at + 8)[0] if wide else 0
        target = low | (high << 32 if wide else 0)
        yield _Tag(target, position, bool(flags & _ESCAPED), checksum)
        position = journal.after(position)
        at += size + (0 if flags & _SAME_UUID else 16)
        if flags & _LAST:
            return


def _revoked(content: bytes, journal: _Journal) -> list[int]:
    used = min(struct.unpack_from(">I", content, 12)[0], len(content) - (4 if journal.checksums else 0))
    layout = ">Q" if journal.features & _64BIT else ">I"
    return [
        number for (number,) in struct.iter_unpack(layout, content[16 : used - (used - 16) % struct.calcsize(layout)])
    ]


def _write(volume: Storage, journal: _Journal, tag: _Tag, sequence: int, *, overlay: Overlay, done: Replay) -> None:
    content = _read(volume, journal, tag.position)
    if journal.checksums:
        found = kernel_crc32c(kernel_crc32c(journal.seed, struct.pack(">I", sequence)), content)
        if tag.checksum != (found if journal.features & _CHECKSUM_3 else found & 0xFFFF):
            done.problems.append(
                f"block {tag.target} in transaction {sequence} of the journal does not match its checksum; it was left as it is"
            )
            return
    if tag.escaped:
        content = struct.pack(">I", MAGIC) + content[4:]
    overlay.write(tag.target * journal.block, content)
    done.blocks += 1


def _fast_commits(volume: Storage, journal: _Journal, *, sequence: int, done: Replay) -> None:
    """Note fast commits that follow the last full one: they are not replayed (struct ext4_fc_head)."""
    if not journal.fast:
        return
    head = _read(volume, journal, journal.last + 1)  # the block between is not used (jbd2: j_fc_first)
    tag, length, _features, transaction = struct.unpack_from("<HHII", head)
    if tag == _FAST_HEAD and length >= 8 and transaction == sequence:
        done.problems.append(
            "the journal holds fast commits, which are not replayed: changes of the last seconds may be missing"
        )
