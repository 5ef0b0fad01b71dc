"""What the transactions of an XFS log change, applied to an overlay as a mount would apply it.

Sources: the kernel's fs/xfs/xfs_log_recover.c, xfs_buf_item_recover.c, xfs_inode_item_recover.c, xfs_icreate_item.c.
"""

from __future__ import annotations

import struct
from collections import Counter

from forensic_toolkit.filesystems.ext4_journal import Replay
from forensic_toolkit.filesystems.overlay import Overlay
from forensic_toolkit.filesystems.storage import Storage
from forensic_toolkit.filesystems.xfs_log import Log, Transaction
from forensic_toolkit.filesystems.xfs_superblock import Superblock

_SECTOR = 512
_INODE, _BUFFER, _CREATE = 0x123B, 0x123C, 0x123F
_INODE_BUFFER, _CANCEL, _QUOTA = 1, 2, 0x1C
# Intents that a mount would carry out and that change what a reader of files sees; those of free space do not.
_INTENTS = {0x1244: "file mappings", 0x1246: "extended attributes", 0x1248: "exchanges of file contents"}
_DONE = {0x1245: 0x1244, 0x1247: 0x1246, 0x1249: 0x1248}
_BUFFER_FORMAT = struct.Struct("<HHHHqI")
_INODE_FORMAT = struct.Struct("<HHIHH4xQ16sqii")
_INODE_FORMAT_32 = struct.Struct("<HHIHHQ16sqii")
_CHUNK = 128
_LOCAL_OR_EXTENTS, _TREE_ROOT, _DEVICE = 0x2 | 0x4, 0x8, 0x10
_ATTRIBUTES, _ATTRIBUTE_ROOT = 0x40 | 0x80, 0x100
_BIG_TIMES, _BIG_COUNTS = 1 << 3, 1 << 4
# (offset, size) of the numbers in an inode, which the log keeps in the machine's byte order (struct xfs_log_dinode).
_NUMBERS = (
    *((0, 2), (2, 2), (8, 4), (12, 4), (16, 4), (20, 2), (22, 2), (56, 8), (64, 8), (72, 4), (76, 4), (80, 2)),
    *((84, 4), (88, 2), (90, 2), (92, 4)),
)
_NUMBERS_3 = ((104, 8), (120, 8), (128, 4), (152, 8))
_TIMES, _TIMES_3 = (32, 40, 48), (144,)
_NEXT_UNLINKED = 96
# (offset of the log sequence number, offset of the UUID) in metadata blocks, by their magic.
_SEQUENCES = {
    **dict.fromkeys((b"ABTB", b"ABTC", b"AB3B", b"AB3C", b"RMB3", b"R3FC", b"IAB3", b"IABT"), (24, 32)),
    **dict.fromkeys((b"BMAP", b"BMA3"), (32, 40)),
    **dict.fromkeys((b"XDB3", b"XDD3", b"XDF3"), (16, 24)),
    b"XAGF": (208, 64),
    b"XAFL": (24, 8),
    b"XAGI": (320, 296),
    b"XSLM": (48, 16),
    b"XFSB": (240, 32),
}
_LEAVES = (b"\x3d\xf1", b"\x3d\xff", b"\x3e\xbe")


def replay(volume: Storage, superblock: Superblock) -> tuple[Overlay, Replay]:
    """An overlay with every committed transaction of the log. Raises EvidenceError when the log cannot be found or read."""
    log = Log(volume, superblock)
    transactions = list(log.transactions())
    recovery = _Recovery(volume, superblock)
    recovery.run(transactions)
    recovery.done.problems.extend(log.problems)
    return recovery.overlay, recovery.done


class _Recovery:
    def __init__(self, volume: Storage, superblock: Superblock) -> None:
        self.overlay = Overlay(volume, block=4096)
        self.done = Replay()
        self._fs = superblock
        self._cancelled: Counter[tuple[int, int]] = Counter()
        self._intents: dict[tuple[int, int], int] = {}

    def run(self, transactions: list[Transaction]) -> None:
        for transaction in transactions:
            for item in transaction.items:
                if _kind(item) == _BUFFER and len(item[0]) >= _BUFFER_FORMAT.size:
                    _, _, flags, length, block, _ = _BUFFER_FORMAT.unpack_from(item[0])
                    self._cancelled[block, length] += bool(flags & _CANCEL)
        for transaction in transactions:
            self.done.transactions += 1
            for item in sorted(transaction.items, key=_order):
                try:
                    self._apply(item, transaction.lsn)
                except (struct.error, IndexError) as error:
                    self.done.problems.append(f"a change in the log is damaged and was left out ({error})")
        for kind, count in Counter(self._intents.values()).items():
            self.done.problems.append(
                f"the log holds {count} unfinished changes of {_INTENTS[kind]}, which only a mount could finish"
            )

    def _apply(self, item: list[bytes], lsn: int) -> None:
        kind = _kind(item)
        if kind == _BUFFER:
            self._buffer(item, lsn)
        elif kind == _INODE:
            self._inode(item, lsn)
        elif kind == _CREATE:
            self._create(item[0])
        elif kind in _INTENTS:
            self._intents[kind, struct.unpack_from("<Q", item[0], 8)[0]] = kind
        elif kind in _DONE:
            self._intents.pop((_DONE[kind], struct.unpack_from("<Q", item[0], 8)[0]), None)

    def _buffer(self, item: list[bytes], lsn: int) -> None:
        _, _, flags, length, block, words = _BUFFER_FORMAT.unpack_from(item[0])
        if flags & _CANCEL:
            self._cancelled[block, length] -= 1
            return
        if self._cancelled[block, length] > 0 or flags & _QUOTA:
            return
        start = block * _SECTOR
        if self._is_newer(self.overlay.read(start, _SECTOR), lsn):
            return
        bits = int.from_bytes(item[0][_BUFFER_FORMAT.size :][: 4 * words], "little")
        bit, end = 0, 32 * words
        for region in item[1:]:
            while bit < end and not bits >> bit & 1:
                bit += 1
            run = 0
            while bit + run < end and bits >> bit + run & 1 and (run + 1) * _CHUNK <= len(region):
                run += 1
            piece = region[: run * _CHUNK]
            if flags & _INODE_BUFFER:
                self._unlinked(start, bit * _CHUNK, piece)
            else:
                self.overlay.write(start + bit * _CHUNK, piece)
            bit += run
        self.done.blocks += 1

    def _unlinked(self, start: int, offset: int, piece: bytes) -> None:
        """Of a buffer of inodes only the list of unlinked ones is logged this way."""
        first = offset // self._fs.inode
        for number in range(first, (offset + len(piece)) // self._fs.inode + 1):
            at = number * self._fs.inode + _NEXT_UNLINKED
            if offset <= at and at + 4 <= offset + len(piece):
                self.overlay.write(start + at, piece[at - offset : at - offset + 4])

    def _is_newer(self, head: bytes, lsn: int) -> bool:
        """Whether what is on the disk was written after the change (xlog_recover_get_buf_lsn)."""
        if not self._fs.checksums:
            return False
        places = (24, 32) if head[8:10] in _LEAVES else None
        places = _SEQUENCES.get(head[:4], places)
        if places is None:
            return False
        at, uuid = places
        if head[:4] == b"XFSB" and self._fs.uuid != self._fs.raw[32:48]:
            uuid = 248
        found = struct.unpack_from(">Q", head, at)[0]
        return head[uuid : uuid + 16] == self._fs.uuid and found not in (0, 2**64 - 1) and found >= lsn

    def _inode(self, item: list[bytes], lsn: int) -> None:
        layout = _INODE_FORMAT if len(item[0]) >= _INODE_FORMAT.size else _INODE_FORMAT_32
        _, regions, fields, _, _, _number, device, block, length, offset = layout.unpack_from(item[0])
        if self._cancelled[block, length] > 0:
            return
        place = block * _SECTOR + offset
        old = self.overlay.read(place, self._fs.inode)
        core = item[1]
        if old[:2] != b"IN" or core[:2] != b"NI" or len(core) < 96:
            self.done.problems.append(
                f"a change of the inode at byte {place} does not fit what is there; it was left out"
            )
            return
        if self._is_newer_inode(old, core, lsn):
            return
        new = bytearray(old)
        _core_to_disk(core, new, lsn=lsn)
        if fields & _DEVICE:
            start = self._core(new)
            new[start : start + 4] = device[3::-1]
        index = 2
        if fields & (_LOCAL_OR_EXTENTS | _TREE_ROOT) and regions > index:
            start, end = self._core(new), self._attributes(new)
            self._fork(new, item[index], start, end, root=bool(fields & _TREE_ROOT))
            index += 1
        if fields & (_ATTRIBUTES | _ATTRIBUTE_ROOT) and regions > index:
            self._fork(new, item[index], self._attributes(new), len(new), root=bool(fields & _ATTRIBUTE_ROOT))
        self.overlay.write(place, bytes(new))
        self.done.blocks += 1

    def _is_newer_inode(self, old: bytes, core: bytes, lsn: int) -> bool:
        if old[4] >= 3:
            found: int = struct.unpack_from(">Q", old, 112)[0]
            return found not in (0, 2**64 - 1) and found > lsn
        flushed, logged = struct.unpack_from(">H", old, 30)[0], struct.unpack_from("<H", core, 30)[0]
        return logged < flushed and not (flushed == 0xFFFF and logged < 0x7FFF)

    def _core(self, inode: bytearray) -> int:
        return 176 if inode[4] >= 3 else 100

    def _attributes(self, inode: bytearray) -> int:
        return self._core(inode) + 8 * inode[82] if inode[82] else len(inode)

    def _fork(self, inode: bytearray, data: bytes, start: int, end: int, *, root: bool) -> None:
        room = end - start
        content = self._tree_root(data, room) if root else data
        inode[start : start + min(room, len(content))] = content[:room]

    def _tree_root(self, data: bytes, room: int) -> bytes:
        """The root of a tree of extents as an inode keeps it, without the header of a block (xfs_bmbt_to_bmdr)."""
        head = 72 if self._fs.checksums else 24
        level, count = struct.unpack_from(">HH", data, 4)
        most_here, most_there = (len(data) - head) // 16, (room - 4) // 16
        count = min(count, most_here, most_there)
        keys = data[head : head + 8 * count]
        pointers = data[head + 8 * most_here :][: 8 * count]
        gap = bytes(8 * (most_there - count))
        return struct.pack(">HH", level, count) + keys + gap + pointers

    def _create(self, item: bytes) -> None:
        """Initialise a chunk of new inodes (xfs_ialloc_inode_init)."""
        group, block, count, size, _length, generation = struct.unpack_from(">IIIIII", item, 4)
        if size != self._fs.inode or count > 1024:
            self.done.problems.append("a chunk of new inodes in the log has an implausible size; it was left out")
            return
        start = (group * self._fs.group_blocks + block) * self._fs.block
        inside = range(start // _SECTOR, (start + count * size) // _SECTOR)
        if any(left > 0 and place in inside for (place, _), left in self._cancelled.items()):
            return
        per_block = (self._fs.block // size).bit_length() - 1
        for number in range(count):
            inode = bytearray(size)
            inode[:2], inode[4] = b"IN", 3 if self._fs.checksums else 2
            struct.pack_into(">II", inode, 92, generation, 0xFFFFFFFF)
            if self._fs.checksums:
                own = group << self._fs.group_shift + per_block | (block << per_block) + number
                struct.pack_into(">Q16s", inode, 152, own, self._fs.uuid)
            self.overlay.write(start + number * size, bytes(inode))
        self.done.blocks += 1


def _kind(item: list[bytes]) -> int:
    return int.from_bytes(item[0][:2], "little")


def _order(item: list[bytes]) -> int:
    """Buffers and new chunks of inodes come first, cancellations last (xlog_recover_reorder_trans)."""
    kind = _kind(item)
    if kind == _CREATE:
        return 0
    if kind != _BUFFER:
        return 1
    flags = int.from_bytes(item[0][4:6], "little")
    return 3 if flags & _CANCEL else 2 if flags & _INODE_BUFFER else 0


def _core_to_disk(core: bytes, inode: bytearray, *, lsn: int) -> None:
    """The fixed part of an inode in the byte order of the disk (xfs_log_dinode_to_disk)."""
    third = core[4] >= 3 and len(core) >= 176
    flags = struct.unpack_from("<Q", core, 120)[0] if third else 0
    numbers = [*_NUMBERS, *(_NUMBERS_3 if third else ())]
    inode[4:8] = core[4:6] + bytes(2)
    inode[82:84] = core[82:84]
    for at in (*_TIMES, *(_TIMES_3 if third else ())):
        numbers += [(at, 8)] if flags & _BIG_TIMES else [(at, 4), (at + 4, 4)]
    if third and flags & _BIG_COUNTS:
        numbers.append((24, 8))
    else:
        inode[24:32] = bytes(8)
    for at, size in numbers:
        inode[at : at + size] = core[at : at + size][::-1]
    if third:
        struct.pack_into(">Q", inode, 112, lsn)
        inode[132:144] = bytes(12)
        inode[160:176] = core[160:176]
