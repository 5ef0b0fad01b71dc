"""How large a forensic instance has to be for the evidence of its case. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

GIB = 1024**3
MIB = 1024**2
# Beside the image: the system, the tools, symbol tables, what the tools write (10 GiB on the lab's cases).
WORK_GIB = 40
RESERVE = 1.3
# Volatility maps the image; what it keeps of it in memory grows with it (kernel page records are a 64th of the memory).
MEMORY_SHARE = 16


def root_gib(image_bytes: int, *, ami_gib: int) -> int:
    """Size of the root volume in GiB: image, work and 30 %, in steps of ten; never less than the AMI's."""
    if not image_bytes:
        return ami_gib
    wanted = (math.ceil(image_bytes / GIB) + WORK_GIB) * RESERVE
    return max(ami_gib, math.ceil(wanted / 10) * 10)


def types_for(types: Sequence[str], *, memory_mib: Mapping[str, int], image_bytes: int) -> tuple[str, ...]:
    """The instance types, those with memory enough for the image first, each kind in the order of preference."""
    least = image_bytes / MIB / MEMORY_SHARE
    return tuple(sorted(types, key=lambda name: memory_mib.get(name, 0) < least))
