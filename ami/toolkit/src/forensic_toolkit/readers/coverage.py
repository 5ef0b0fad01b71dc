"""The coverage gate: what existed (files, lines, bytes) compared with what was parsed.

A tool that succeeds but returns nothing, or far too little, makes a system look clean. Readers report both numbers for every
artifact here; a shortfall becomes a named gap.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from forensic_toolkit.filesystems.entries import Identity
from forensic_toolkit.printable import printable
from forensic_toolkit.results import Results
from forensic_toolkit.times import zulu

# Some lines that no parser knows are normal; more than a fifth is not.
ENOUGH = 0.8
# A second tool reads some lines differently; less than half means that it lost a file.
ENOUGH_OF_ANOTHER_TOOL = 0.5
# The superblock of a running system lags by some inodes; a lost directory makes more.
SPARE_INODES, SPARE_SHARE = 64, 0.05
# In the right time zone a log's last line and its file's modification time differ by less than this.
SLACK = timedelta(seconds=90)
_HALF_HOUR = 1800.0
_FARTHEST_ZONE = timedelta(hours=14)


@dataclass(slots=True)
class Artifact:
    """One file of a known kind: its size in bytes, its lines or records, and how many of them were parsed."""

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
        """Count one parsed line with its time."""
        self.parsed += 1
        self.first = min(self.first or time, time)
        self.last = max(self.last or time, time)

    def shortfalls(self) -> list[str]:
        """Descriptions of what is missing; empty for a file that was read completely."""
        found = list(dict.fromkeys(self.problems))
        if self.bytes and not self.lines:
            found.append(f"{self.bytes} bytes without a single line or record")
        elif self.lines and self.parsed < ENOUGH * self.lines:
            found.append(f"{self.parsed} of {self.lines} lines were parsed")
        if zone := self._other_zone():
            found.append(zone)
        return found

    def _other_zone(self) -> str | None:
        """Describe a last line that is off the file's modification time by a multiple of half an hour."""
        if self.last is None or self.modified is None or self.parsed < 2:
            return None
        apart = self.last - self.modified
        steps = round(apart.total_seconds() / _HALF_HOUR)
        near = abs(apart - timedelta(seconds=steps * _HALF_HOUR)) <= SLACK
        if steps and near and abs(apart) <= _FARTHEST_ZONE:
            return (
                f"its last line says {zulu(self.last)}, the file was last written {zulu(self.modified)}: "
                "a different time zone than the system's, or a clock that was set; its times are off by the difference"
            )
        return None

    def as_dict(self) -> dict[str, Any]:
        """The artifact as in results.json."""
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
        """Register an artifact and return it; its counts may still grow."""
        self.artifacts.append(artifact)
        return artifact

    def parsed(self, kind: str) -> int:
        """The number of parsed lines or records in all artifacts of a kind."""
        return sum(artifact.parsed for artifact in self.artifacts if artifact.kind == kind)

    def report(self, results: Results) -> None:
        """Record shortfalls as gaps and put the coverage of every artifact into the results."""
        for artifact in self.artifacts:
            for why in artifact.shortfalls():
                results.gap(f"coverage: {artifact.path}", why)
        results.coverage = [artifact.as_dict() for artifact in self.artifacts]


def unreached(identity: Identity, *, walked: int) -> str | None:
    """Why a walk over ``walked`` inodes cannot have been complete, or None."""
    used = identity.used_inodes
    if used is None or walked >= used - max(SPARE_INODES, int(used * SPARE_SHARE)):
        return None
    return f"{walked} of {used} inodes in use were reached: directories are damaged or cannot be read"


def far_too_little(tool: str, *, rows: int, present: int, what: str) -> str | None:
    """Why the number of another tool's rows is implausible, or None."""
    if not present or rows >= ENOUGH_OF_ANOTHER_TOOL * present:
        return None
    return f"{tool} succeeded but gave {rows} records; there are {present} {what}"
