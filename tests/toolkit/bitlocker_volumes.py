"""Volumes in BitLocker's form of Windows 7 and later (metadata version 2, AES-XTS with 128 bits), made of plain ones.

By libyal's "BitLocker Drive Encryption (BDE) format" and what cryptsetup's lib/bitlk reads; cryptsetup is the judge in the tests.
"""

from __future__ import annotations

import base64
import hashlib
import struct
import uuid
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM

SECTOR, SPARE = 512, 1 << 20
VOLUME, PROTECTOR = uuid.UUID("6f1d8f0e-51c5-4f0e-9d0b-3c7a3d1f4a55"), uuid.UUID("0b0f8f9b-64a8-4b6c-8d2a-7f4b1f3c9d10")
STANDARD = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
_MASTER, _DATA_KEY = bytes(range(32)), bytes(range(100, 132))
_HEAD_SECTORS, _BLOCK = 16, 65536
_PROPERTY, _MASTER_ROLE, _KEY_ROLE, _RECOVERY, _CLEAR = 0, 2, 3, 0x0800, 0


def recovery_password(seed: int = 1) -> str:
    """A valid recovery password: eight groups, each a number of 16 bits times eleven."""
    return "-".join(f"{(seed * 7919 + group * 4241) % 65536 * 11:06d}" for group in range(8))


def encoded() -> str:
    """It, as a manifest holds it."""
    return base64.b64encode(recovery_password().encode()).decode("ascii")


def encrypted(
    plain: Path, *, password: str = recovery_password(), suspended: bool = False, to_go: bool = False
) -> Path:
    """A copy of a volume, encrypted, with the metadata behind its end; ``suspended``: with a key in the clear as well."""
    content = bytearray(plain.read_bytes())
    data = len(content)
    content += bytes(SPARE)
    places = [data + number * 2 * _BLOCK for number in range(3)]
    moved = data + 6 * _BLOCK
    head = bytes(content[: _HEAD_SECTORS * SECTOR])
    for at in range(_HEAD_SECTORS * SECTOR, data, SECTOR):
        content[at : at + SECTOR] = _xts(bytes(content[at : at + SECTOR]), at // SECTOR)
    for number in range(_HEAD_SECTORS):
        piece = head[number * SECTOR : (number + 1) * SECTOR]
        content[moved + number * SECTOR : moved + (number + 1) * SECTOR] = _xts(piece, moved // SECTOR + number)
    content[: _HEAD_SECTORS * SECTOR] = _boot_sector(places, to_go=to_go).ljust(_HEAD_SECTORS * SECTOR, b"\0")
    block = _metadata(places, moved, len(content), password=password, suspended=suspended)
    for place in places:
        content[place : place + len(block)] = block
    path = plain.with_suffix(".bitlocker")
    path.write_bytes(content)
    return path


def _xts(piece: bytes, sector: int) -> bytes:
    return Cipher(algorithms.AES(_DATA_KEY), modes.XTS(sector.to_bytes(16, "little"))).encryptor().update(piece)


def _boot_sector(places: list[int], *, to_go: bool) -> bytes:
    name = b"MSWIN4.1" if to_go else b"-FVE-FS-"
    head = b"\xeb\x58\x90" + name + struct.pack("<HBHBHHBHHHII", SECTOR, 8, 0, 0, 0, 0, 0xF8, 0, 63, 255, 0, 0)
    head += (
        struct.pack("<IHHIHH", 8160, 0, 0, 2, 1, 6)
        + bytes(12)
        + struct.pack("<BBB", 128, 0, 0x29)
        + bytes(4)
        + b"NO NAME    FAT32   "
    )
    at = 424 if to_go else 160
    return (head.ljust(at, b"\0") + STANDARD + struct.pack("<QQQ", *places)).ljust(510, b"\0") + b"\x55\xaa"


def _datum(role: int, kind: int, body: bytes) -> bytes:
    return struct.pack("<HHHH", 8 + len(body), role, kind, 1) + body


def _key(kind: int, key: bytes) -> bytes:
    return _datum(_PROPERTY, 1, struct.pack("<HH", kind, 0) + key)


def _sealed(role: int, key: bytes, content: bytes, *, number: int) -> bytes:
    nonce = struct.pack("<QI", 133_000_000_000_000_000, number)
    sealed = AESCCM(key, tag_length=16).encrypt(nonce, content, None)
    return _datum(role, 5, nonce + sealed[-16:] + sealed[:-16])


def _protector(kind: int, properties: bytes) -> bytes:
    return _datum(
        _MASTER_ROLE, 8, PROTECTOR.bytes_le + struct.pack("<QHH", 133_000_000_000_000_000, 0, kind) + properties
    )


def _metadata(places: list[int], moved: int, size: int, *, password: str, suspended: bool) -> bytes:
    salt = bytes(range(16))
    numbers = b"".join(struct.pack("<H", int(group) // 11) for group in password.split("-"))
    stretched = _stretched(hashlib.sha256(numbers).digest(), salt)
    master = _key(0x2003, _MASTER)
    words = _datum(_PROPERTY, 3, struct.pack("<HH", 0x1000, 0) + salt)
    parts = [_protector(_RECOVERY, words + _sealed(_PROPERTY, stretched, master, number=1))]
    if suspended:
        clear = bytes(32)
        parts.append(_protector(_CLEAR, _key(0x2002, clear) + _sealed(_PROPERTY, clear, master, number=3)))
    parts.append(_sealed(_KEY_ROLE, _MASTER, _key(0x8004, _DATA_KEY), number=2))
    listed = b"".join(parts)
    head = struct.pack("<IIII", 48 + len(listed), 1, 48, 48 + len(listed)) + VOLUME.bytes_le
    head += struct.pack("<IHHQ", 4, 0x8004, 0x8004, 133_000_000_000_000_000)
    total = 64 + len(head) + len(listed)
    padded = -(-total // 16) * 16
    first = b"-FVE-FS-" + struct.pack("<HHHHQII", padded // 16, 2, 4, 4, size, 0, _HEAD_SECTORS)
    first += struct.pack("<QQQQ", *places, moved)
    block = (first + head + listed).ljust(padded, b"\0")
    own = hashlib.sha256(block).digest()
    check = _sealed(4, _MASTER, _datum(_PROPERTY, 1, struct.pack("<HH", 0x2005, 0) + own), number=5)
    return block + struct.pack("<HHI", 8 + len(check), 2, zlib.crc32(block)) + check


def _stretched(key: bytes, salt: bytes) -> bytes:
    state = bytes(32)
    for number in range(0x100000):
        state = hashlib.sha256(state + key + salt + number.to_bytes(8, "little")).digest()
    return state
