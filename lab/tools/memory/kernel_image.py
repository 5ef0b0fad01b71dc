"""A kernel as QEMU loads it: AArch64 kernels may be packed in a program of EFI that older QEMUs do not unpack.

Source: Linux, drivers/firmware/efi/libstub/zboot-header.S: "MZ", "zimg" at 4, where the packed kernel lies and how long it is at 8 and 12,
the name of the packing at 24.
"""

from __future__ import annotations

import gzip
import struct
import subprocess
from pathlib import Path

_HEADER = struct.Struct("<2s2x4sII8x32s")


class PackedKernelError(RuntimeError):
    """The kernel is packed in a way that nothing here unpacks; the message names it."""


def kernel_file(root: Path, release: str) -> Path:
    """Where unpacked packages have a kernel: in /boot, since 7.x beside its modules. Raises PackedKernelError where they have none."""
    places = (
        root / f"boot/vmlinuz-{release}",
        *(root / below / "modules" / release / "vmlinuz" for below in ("usr/lib", "lib")),
    )
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise PackedKernelError(
            f"the packages of {release} have no kernel: neither /boot/vmlinuz-{release} nor /usr/lib/modules/{release}/vmlinuz"
        )
    return found


def plain(kernel: Path, *, into: Path) -> Path:
    """The kernel itself: ``kernel``, or what is packed in it, in the folder ``into``. Raises PackedKernelError."""
    data = kernel.read_bytes()
    if len(data) < _HEADER.size:
        return kernel
    magic, form, offset, size, packing = _HEADER.unpack_from(data)
    if magic != b"MZ" or form != b"zimg":
        return kernel
    name, packed = packing.split(b"\0")[0].decode("ascii", "replace"), data[offset : offset + size]
    if name == "gzip":
        unpacked = gzip.decompress(packed)
    elif name in {"zstd", "zstd22"}:
        done = subprocess.run(["zstd", "-q", "-d", "-c"], input=packed, capture_output=True, check=False)
        unpacked = done.stdout
    else:
        raise PackedKernelError(f"{kernel.name} is packed with {name!r}; gzip and zstd are unpacked here")
    if not unpacked:
        raise PackedKernelError(f"{kernel.name}: nothing came out of what is packed with {name}")
    target = into / f"{kernel.name}.plain"
    target.write_bytes(unpacked)
    return target
