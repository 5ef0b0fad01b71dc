"""What a rule says: one thing in the evidence that a responder has to know about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from forensic_toolkit.printable import printable, printable_data
from forensic_toolkit.times import zulu

Severity = Literal["info", "low", "medium", "high", "critical"]
Confidence = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")
MAX_DETAIL = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in the evidence that a responder has to know about; ``count`` says how often, when equal ones are folded.

    ``fold`` makes findings equal that only a rule knows to be so, ``kind`` names what it is about without the thing itself
    (:mod:`forensic_toolkit.folding`); ``examples`` are (title, source, time) of what was folded, the gravest first.
    """

    title: str
    detail: str
    severity: Severity
    confidence: Confidence
    source: str
    time: datetime | None = None
    technique: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    kind: str | None = None
    fold: str | None = None
    count: int = 1
    first: datetime | None = None
    last: datetime | None = None
    examples: tuple[tuple[str, str, datetime | None], ...] = ()

    def identity(self) -> str:
        """An id that is stable across runs: the same evidence gives the same id."""
        text = "\0".join((self.source, self.title, self.detail, zulu(self.time) if self.time else ""))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; all text from evidence is made printable."""
        first, last = self.first or self.time, self.last or self.time
        often = ""
        if self.count > 1:
            between = f", {zulu(first)} to {zulu(last)}" if first and last else ""
            often = f" [{self.count} times{between}]"
        data = dict(self.data)
        if len(self.examples) > 1:
            data["examples"] = [
                {"title": title, "source": source, "time": zulu(moment) if moment else None}
                for title, source, moment in self.examples
            ]
        return {
            "id": self.identity(),
            "title": printable(self.title, limit=160),
            "detail": printable(self.detail, limit=MAX_DETAIL - len(often)) + often,
            "severity": self.severity,
            "confidence": self.confidence,
            "time": zulu(self.time) if self.time else None,
            "technique": self.technique,
            "source": printable(self.source, limit=300),
            "count": self.count,
            "first": zulu(first) if first else None,
            "last": zulu(last) if last else None,
            "data": printable_data(data),
        }
