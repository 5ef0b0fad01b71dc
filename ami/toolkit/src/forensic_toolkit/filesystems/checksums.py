"""CRC-32C (Castagnoli), the checksum of ext4's journal, XFS and btrfs (RFC 3720, appendix B.4)."""

from __future__ import annotations

from collections.abc import Callable

_POLYNOMIAL = 0x82F63B78


def _table() -> list[int]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        rows.append(value)
    return rows


def _slow() -> Callable[[int, bytes], int]:
    table = _table()

    def extend(crc: int, data: bytes) -> int:
        crc ^= 0xFFFFFFFF
        for byte in data:
            crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
        return crc ^ 0xFFFFFFFF

    return extend


try:
    from google_crc32c import extend as _extend
except ImportError:  # the same result at a hundredth of the speed
    _extend = _slow()


def crc32c(data: bytes, *, seed: int = 0) -> int:
    """The checksum of ``data``, continued from that of what lies before it."""
    return int(_extend(seed, data))


def kernel_crc32c(seed: int, data: bytes) -> int:
    """As the kernel's ``crc32c(seed, data)``: without the inversions before and after."""
    return crc32c(data, seed=seed ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
