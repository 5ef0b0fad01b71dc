"""Limits of everything that is walked of what a target sent, and the budget of the kernel checks. Pure.

Root on the target may send any bytes. So no walk's length comes from them: each has a limit far above what a real machine
shows (in brackets, seen on images of cloud instances), and what is beyond it is a verdict that names the limit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

KIB, MIB, GIB = 1024, 1024**2, 1024**3

RANGES = 4_096  # in an image or a RAM map (tens)
KERNEL_TEXT = 256 * MIB  # (20 to 40 MiB)
BANNER_CANDIDATES = 262_144  # places that begin as a banner does (thousands, in logs)
FACTS = {
    "btf": 64 * MIB,
    "kallsyms": 64 * MIB,
    "version": 16 * KIB,
    "iomem": MIB,
    "vmcoreinfo": 64 * KIB,
}  # (8 MiB, 15 MiB, 200 bytes, some KiB, 3 KiB)
# A raw image also holds the addresses below 4 GiB that are devices, not memory: at most these on EC2.
HOLE = 2 * GIB

# Memory that a zstd frame may ask for to be decompressed (8 MiB up to level 19; without a limit of ours 128 MiB).
WINDOW = 32 * MIB

KERNEL_READS = 20_000  # reads of the stored image, one request each (hundreds)
KERNEL_BYTES = 512 * MIB  # (70 MiB)
KERNEL_SECONDS = 900.0


class OverBudgetError(Exception):
    """A walk over what the target sent was stopped; the message says what was exceeded."""


def image_limit(memory_bytes: int) -> int:
    """The largest image in bytes that an instance with that much memory (EC2 says so, not the host) can have."""
    return memory_bytes + memory_bytes // 20 + HOLE


@dataclass
class Budget:
    """What the kernel checks may use together; :meth:`spend` before each read, :meth:`alive` in each long loop."""

    reads: int = KERNEL_READS
    bytes: int = KERNEL_BYTES
    seconds: float = KERNEL_SECONDS
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._reads = self._bytes = 0
        self._began = self.clock()

    def spend(self, size: int) -> None:
        """Account for one read of ``size`` bytes. Raises :class:`OverBudgetError` when it is not allowed any more."""
        self._reads += 1
        self._bytes += size
        if self._reads > self.reads:
            raise OverBudgetError(f"more than {self.reads} reads of the image would be needed")
        if self._bytes > self.bytes:
            raise OverBudgetError(f"more than {self.bytes // MIB} MiB of the image would have to be read again")
        self.alive()

    def alive(self) -> None:
        """Raises :class:`OverBudgetError` when the time is used up."""
        if self.clock() - self._began > self.seconds:
            raise OverBudgetError(f"the checks of the kernel took more than {self.seconds:.0f} s")
