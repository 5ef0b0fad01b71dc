"""The text manifest that tells a host what it may fetch and where it may upload (docs/architecture.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

MIB = 1024 * 1024
MIN_PART = 16 * MIB
MAX_PARTS = 9_500


def part_size_for(memory_bytes: int) -> tuple[int, int]:
    """Part size in bytes and number of parts for a memory image of that size plus 5 % (S3 allows 10,000 parts)."""
    expected = math.ceil(memory_bytes * 1.05)
    size = max(MIN_PART, math.ceil(expected / MAX_PARTS / MIB) * MIB)
    return size, max(2, math.ceil(expected / size) + 1)


def render(
    *,
    gets: Mapping[str, tuple[str | None, str]] | None = None,
    puts: Mapping[str, str] | None = None,
    parts: Sequence[str] = (),
    part_size: int | None = None,
) -> str:
    """Render the manifest; ``gets`` maps a name to (sha256 or None, URL)."""
    lines = ["forensics-manifest 1"]
    if part_size is not None:
        lines.append(f"part_size {part_size}")
    lines += [f"get {name} {sha256 or '-'} {url}" for name, (sha256, url) in (gets or {}).items()]
    lines += [f"put {name} {url}" for name, url in (puts or {}).items()]
    lines += [f"part {number} {url}" for number, url in enumerate(parts, start=1)]
    return "\n".join(lines) + "\n"
