"""The coverage gate: what was there (files, lines, bytes) against what was parsed.

A tool that ends well and says nothing, or far too little, looks like a clean system. Every artifact that a reader
knows reports both sides here; a shortfall is a gap with a name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from forensic_toolkit.filesystems.entries import Identity
from forensic_toolkit.printable import printable
from forensic_toolkit.results import Results
from forensic_toolkit.times import zulu

# Lines that no parser knows are normal; more than a fifth is not.
ENOUGH = 0.8
# A second tool reads some lines differently; less than half means that it lost a file.
ENOUGH_OF_ANOTHER_TOOL = 0.5
# Superblocks of a running system lag behind by some inodes; a lost folder is more.
SPARE_INODES, SPARE_SHARE = 64, 0.05
# A log's last line and its file's own time of modification agree within this, in one time zone.
SLACK = timedelta(seconds=90)
_HALF_HOUR = 1800.0
_FARTHEST_ZONE = timedelta(hours=14)


@dataclass(slots=True)
class Artifact:
    """One file of a known kind: its size in bytes, its lines or records, and how many of them were understood."""

    kind: str
    path: str
    bytes: int
    lines: int = 0
    parsed: int = 0
    first: datetime | None = None
    last: datetime | None = None
    modified: datetime | None = None
    problems: list[str] = field(default_factory=list)

    def understood(self, time: datetime) -> None:
        """Count one line with its time."""
        self.parsed += 1
        self.first = min(self.first or time, time)
        self.last = max(self.last or time, time)

    def shortfalls(self) -> list[str]:
        """What is wrong, in words; nothing for a file that was read as it should be."""
        found = list(dict.fromkeys(self.problems))
        if self.bytes and not self.lines:
            found.append(f"{self.bytes} bytes, but not one line or record in them")
        elif self.lines and self.parsed < ENOUGH * self.lines:
            found.append(f"{self.parsed} of {self.lines} lines were understood")
        if zone := self._other_zone():
            found.append(zone)
        return found

    def _other_zone(self) -> str | None:
        """A last line that lies a whole number of half hours beside the file's own last change."""
        if self.last is None or self.modified is None or self.parsed < 2:
            return None
        apart = self.last - self.modified
        steps = round(apart.total_seconds() / _HALF_HOUR)
        near = abs(apart - timedelta(seconds=steps * _HALF_HOUR)) <= SLACK
        if steps and near and abs(apart) <= _FARTHEST_ZONE:
            return (
                f"its last line says {zulu(self.last)}, the file was last written {zulu(self.modified)}: "
                "another time zone than the system's, or a clock set meanwhile; its times are off by the difference"
            )
        return None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "kind": self.kind,
            "path": printable(self.path, limit=300),
            "bytes": self.bytes,
            "lines": self.lines,
            "parsed": self.parsed,
            "first": zulu(self.first) if self.first else None,
            "last": zulu(self.last) if self.last else None,
            "shortfalls": [printable(text) for text in self.shortfalls()],
        }


@dataclass(slots=True)
class Coverage:
    """All artifacts of one examination."""

    artifacts: list[Artifact] = field(default_factory=list)

    def add(self, artifact: Artifact) -> Artifact:
        """Keep it; its counts may still grow."""
        self.artifacts.append(artifact)
        return artifact

    def parsed(self, kind: str) -> int:
        """How much was understood of all artifacts of a kind."""
        return sum(artifact.parsed for artifact in self.artifacts if artifact.kind == kind)

    def judge(self, results: Results) -> None:
        """Turn shortfalls into gaps, and put the whole account into the results."""
        for artifact in self.artifacts:
            for why in artifact.shortfalls():
                results.gap(f"coverage: {artifact.path}", why)
        results.coverage = [artifact.as_dict() for artifact in self.artifacts]


def unreached(identity: Identity, *, walked: int) -> str | None:
    """Why a walk that met ``walked`` inodes cannot have met all of them."""
    used = identity.used_inodes
    if used is None or walked >= used - max(SPARE_INODES, int(used * SPARE_SHARE)):
        return None
    return f"{walked} of {used} inodes in use were reached: folders are damaged or cannot be read"


def far_too_little(tool: str, *, rows: int, present: int, what: str) -> str | None:
    """Why another tool's rows cannot be all that there is."""
    if not present or rows >= ENOUGH_OF_ANOTHER_TOOL * present:
        return None
    return f"{tool} ended well and gave {rows} records; there are {present} {what}"
