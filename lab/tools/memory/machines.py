"""What differs between the architectures of a guest: QEMU's machine, Debian's name, where libraries lie, what is unpacked.

Sources: QEMU's documentation (system/arm/virt.rst: the machine gives the kernel a seed for KASLR; system/i386/pc.rst), the
System V ABI's and Debian's names of the loaders and library folders (Debian Policy, "Multiarch").
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """One architecture: as Debian and as ``uname -m`` name it, and how QEMU runs it."""

    debian: str
    uname: str
    emulator: str
    board: tuple[str, ...]
    console: str
    triplet: str
    loader: str
    foreign: bool = False

    @property
    def libraries(self) -> str:
        """The folder of shared libraries in the guest, without a leading slash."""
        return f"lib/{self.triplet}"


AMD64 = Machine(
    debian="amd64",
    uname="x86_64",
    emulator="qemu-system-x86_64",
    board=("-cpu", "max,la57=off"),
    console="ttyS0",
    triplet="x86_64-linux-gnu",
    loader="lib64/ld-linux-x86-64.so.2",
)
# Cortex-A72 has neither LVA nor pointer authentication (48-bit addresses); `max` has both, and 52-bit addresses with 4 KiB pages.
ARM64 = Machine(
    debian="arm64",
    uname="aarch64",
    emulator="qemu-system-aarch64",
    board=("-M", "virt,gic-version=3", "-cpu", "cortex-a72"),
    console="ttyAMA0",
    triplet="aarch64-linux-gnu",
    loader="lib/ld-linux-aarch64.so.1",
    foreign=True,
)
MACHINES = {machine.debian: machine for machine in (AMD64, ARM64)}
