"""The typed results of a command and their JSON form (``forensics.results/1``, docs/architecture.md)."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any, Literal, Protocol

from forensic_toolkit import __version__, time_limits
from forensic_toolkit.findings import SEVERITIES as SEVERITIES
from forensic_toolkit.findings import Confidence as Confidence
from forensic_toolkit.findings import Finding as Finding
from forensic_toolkit.findings import Severity as Severity
from forensic_toolkit.folding import folded, newest_first
from forensic_toolkit.printable import printable, printable_data
from forensic_toolkit.times import timesketch, zulu

SCHEMA = "forensics.results/1"
MAX_TIMELINE = 500
MAX_FINDINGS = 1000
MAX_PROCESSES = 32_768


@dataclass(frozen=True, slots=True)
class Event:
    """One timeline entry; ``notable`` entries are also listed in results.json."""

    time: datetime
    what: str
    source: str
    description: str
    notable: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def as_timesketch(self) -> dict[str, Any]:
        """One line of ``timeline.jsonl``."""
        return {
            "message": printable(self.what, limit=1000),
            "datetime": timesketch(self.time),
            "timestamp_desc": self.description,
            "source": printable(self.source, limit=300),
            **{key: printable_data(value) for key, value in self.extra.items()},
        }


@dataclass(frozen=True, slots=True)
class ToolRun:
    """One run of one tool or plugin, successful or not."""

    tool: str
    version: str
    argv: list[str]
    exit: int
    seconds: float
    rows: int | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "tool": self.tool,
            "version": self.version,
            "argv": [printable(item, limit=300) for item in self.argv],
            "exit": self.exit,
            "seconds": round(self.seconds, 2),
            "rows": self.rows,
            "error": printable(self.error) if self.error else None,
        }


class InOrder(Protocol):
    """Events that are made when they are read: too many for memory."""

    def __len__(self) -> int:
        """How many there are."""

    def in_order(self) -> Iterator[Event]:
        """All of them in order of time."""


@dataclass(slots=True)
class Results:
    """Everything a command found, failed to look at, and ran."""

    case_id: str
    evidence_id: str
    tool: Literal["memory", "disk"]
    started: datetime
    input_sha256: str | None = None
    input_bytes: int = 0
    runs: list[ToolRun] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    gaps: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)  # to be read, nothing is missing
    coverage: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)  # what became of each kind (rules.artifacts)
    processes: list[tuple[int, str, datetime | None]] = field(
        default_factory=list
    )  # of a Linux image: pid, name, start
    process_tree: list[dict[str, Any]] = field(default_factory=list)  # of readers.process_tree
    comparable: dict[str, int] = field(default_factory=dict)  # records by dissect function, for the second opinion
    failure: str | None = None
    file_times: InOrder | None = None  # beside ``events``
    more_timeline: Path | None = None  # a file of timeline lines in order of time, too many for memory
    more_entries: int = 0
    deadline: float | None = None  # in seconds of time.monotonic

    def in_order(self) -> Iterator[Event]:
        """All events in order of time, without those of ``more_timeline``."""
        own = sorted(self.events, key=lambda event: event.time)
        return heapq.merge(own, self.file_times.in_order() if self.file_times else (), key=lambda event: event.time)

    def seconds_left(self) -> float:
        """Seconds until the deadline; one day when there is none."""
        return 86_400.0 if self.deadline is None else self.deadline - monotonic()

    def gap(self, what: str, why: str) -> None:
        """Record something that was not examined, and why; duplicates are ignored."""
        if (what, why) not in self.gaps:
            self.gaps.append((what, why))

    def note(self, what: str, text: str) -> None:
        """Record something that a reader has to know although nothing is missing; duplicates are ignored."""
        if (what, text) not in self.notes:
            self.notes.append((what, text))

    def apply(self, name: str, *, rule: Callable[[], Iterable[Finding]]) -> int:
        """Add a rule's findings and return their number.

        A rule that fails or runs out of time is a gap: evidence may be crafted to break it.
        """
        before = len(self.findings)
        try:
            with time_limits.within(time_limits.RULE_SECONDS):
                self.findings.extend(rule())
        except time_limits.OutOfTimeError as error:
            if error.whole:
                raise
            self.gap(f"rule {name}", f"{error}; the rule was stopped, its findings may be incomplete")
        except Exception as error:
            self.gap(
                f"rule {name}", f"the rule failed with {type(error).__name__}: {error}; its findings may be incomplete"
            )
        return len(self.findings) - before

    def as_dict(self, *, ended: datetime) -> dict[str, Any]:
        """The content of ``results.json``: folded findings, worst first, then by time."""
        ranked = sorted(folded(self.findings), key=newest_first)
        if len(ranked) > MAX_FINDINGS:
            why = f"{len(ranked)} findings; the {MAX_FINDINGS} most severe are listed, of equal severity the newest"
            self.gap("findings", why)
            ranked = ranked[:MAX_FINDINGS]
        ranked.sort(key=_rank)
        by_severity: Counter[str] = Counter(finding.severity for finding in ranked)
        return {
            "schema": SCHEMA,
            "case_id": self.case_id,
            "evidence_id": self.evidence_id,
            "tool": self.tool,
            "toolkit_version": __version__,
            "started": zulu(self.started),
            "ended": zulu(ended),
            "input": {"sha256": self.input_sha256, "bytes": self.input_bytes},
            "provenance": [run.as_dict() for run in self.runs],
            "findings": [finding.as_dict() for finding in ranked],
            "timeline": self._notable(),
            "counts": {
                **self.counts,
                "findings": len(ranked),
                "timeline_entries": len(self.events) + len(self.file_times or ()) + self.more_entries,
                **{f"findings_{name}": by_severity[name] for name in SEVERITIES},
            },
            "coverage": self.coverage,
            "artifacts": self.artifacts,
            "comparable": self.comparable,
            # for the comparison with what the running host listed
            "processes": [
                {"pid": pid, "name": printable(name, limit=16), "started": zulu(started) if started else None}
                for pid, name, started in self.processes[:MAX_PROCESSES]
            ],
            "process_tree": self.process_tree,
            "failure": printable(self.failure) if self.failure else None,
            "gaps": [{"what": printable(what), "why": printable(why)} for what, why in self.gaps],
            "notes": [{"what": printable(what), "why": printable(why)} for what, why in self.notes],
        }

    def _notable(self) -> list[dict[str, str]]:
        """At most ``MAX_TIMELINE`` entries in order of time, the times of findings included."""
        entries = {
            (finding.time, finding.title, finding.source) for finding in self.findings if finding.time is not None
        }
        room = max(0, MAX_TIMELINE - len(entries))
        notable = [event for event in self.events if event.notable]
        if len(notable) > room:
            self.notes.append(("timeline", f"{len(notable)} notable entries; all of them are in timeline.jsonl"))
        # The latest entries are kept: an intrusion ends close to its capture.
        kept = sorted(notable, key=lambda event: event.time)[len(notable) - min(room, len(notable)) :]
        entries |= {(event.time, event.what, event.source) for event in kept}
        ordered = sorted(entries, key=lambda entry: (entry[0], entry[1], entry[2]))[-MAX_TIMELINE:]
        return [
            {"time": zulu(time), "what": printable(what), "source": printable(source, limit=300)}
            for time, what, source in ordered
        ]


def _rank(finding: Finding) -> tuple[int, str, str]:
    return (
        SEVERITIES.index(finding.severity),
        zulu(finding.time) if finding.time else "9999",
        finding.identity(),
    )
