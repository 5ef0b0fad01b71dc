"""The text manifest that tells a host what it may fetch and where it may upload (docs/architecture.md)."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MANIFEST = "manifest.txt"  # the name below the prefix of a command's uploads
MIB = 1024 * 1024
MIN_PART = 16 * MIB
MAX_PARTS = 9_500


def part_size_for(memory_bytes: int) -> tuple[int, int]:
    """Part size in bytes and number of parts for a memory image of that size plus 5 % (S3 allows 10,000 parts)."""
    expected = math.ceil(memory_bytes * 1.05)
    size = max(MIN_PART, math.ceil(expected / MAX_PARTS / MIB) * MIB)
    return size, max(2, math.ceil(expected / size) + 1)


@dataclass(frozen=True)
class CaptureSegment:
    """One command of a capture: how it reads, where it resumes, when it must stop because its URLs expire.

    ``stop_at`` in Unix seconds; ``skip`` in bytes of the image; ``boot`` is the boot id that the first parts were read under.
    """

    methods: tuple[str, ...]
    encoding: str = "none"
    stop_at: int | None = None
    first_part: int = 1
    skip: int = 0
    boot: str | None = None

    def lines(self) -> list[str]:
        """The manifest's lines for this segment."""
        found = [f"method {method}" for method in self.methods] + [f"encoding {self.encoding}"]
        if self.stop_at is not None:
            found.append(f"stop_at {self.stop_at}")
        if self.first_part > 1:
            found.append(f"resume {self.first_part} {self.skip}")
        if self.boot:
            found.append(f"expect boot {self.boot}")
        return found


def render(
    *,
    gets: Mapping[str, tuple[str | None, str]] | None = None,
    puts: Mapping[str, str] | None = None,
    keys: Mapping[str, bytes] | None = None,
    parts: Sequence[str] = (),
    part_size: int | None = None,
    segment: CaptureSegment | None = None,
) -> str:
    """Render the manifest; ``gets`` maps a name to (sha256 or None, URL), ``parts`` are those from ``segment.first_part`` on.

    ``keys`` are those of encrypted disks: what holds one has to be erased, not only deleted (:meth:`LandingGateway.erase`).
    """
    lines = ["forensics-manifest 1"]
    if part_size is not None:
        lines.append(f"part_size {part_size}")
    first = segment.first_part if segment else 1
    if segment:
        lines += segment.lines()
    lines += [f"get {name} {sha256 or '-'} {url}" for name, (sha256, url) in (gets or {}).items()]
    lines += [f"put {name} {url}" for name, url in (puts or {}).items()]
    lines += [f"key {name} {base64.b64encode(value).decode('ascii')}" for name, value in (keys or {}).items()]
    lines += [f"part {number} {url}" for number, url in enumerate(parts, start=first)]
    return "\n".join(lines) + "\n"
