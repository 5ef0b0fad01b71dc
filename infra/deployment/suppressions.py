"""What linters say and is not followed: ``infra/suppressions.yaml``, each entry with reason, owner and expiry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

FILE = Path(__file__).resolve().parents[1] / "suppressions.yaml"
SHORTEST_REASON = 40
LONGEST_DAYS = 366


@dataclass(frozen=True)
class Finding:
    """One thing a linter says of one template; ``resource`` is the logical id when the linter names it."""

    tool: str
    id: str
    template: str
    resource: str
    text: str

    def __str__(self) -> str:
        return f"{self.template}: {self.resource or 'template'}: {self.tool} {self.id}: {self.text}"


@dataclass(frozen=True)
class Suppression:
    """One entry of the file."""

    tool: str
    id: str
    template: str
    reason: str
    owner: str
    expires: date
    resource: str = ""

    def covers(self, finding: Finding) -> bool:
        """Whether this entry is about the finding."""
        same = (self.tool, self.id, self.template) == (finding.tool, finding.id, finding.template)
        return same and self.resource in ("", finding.resource)


def read(file: Path = FILE) -> list[Suppression]:
    """All entries. Raises ``TypeError`` on a missing or unknown field."""
    return [Suppression(**entry) for entry in yaml.safe_load(file.read_text("utf-8"))]


def problems(entries: list[Suppression], *, today: date) -> list[str]:
    """What is wrong with the entries themselves: too short a reason, expired, or further away than a year."""
    found = []
    for entry in entries:
        name = f"suppression of {entry.tool} {entry.id} in {entry.template}"
        if len(entry.reason) < SHORTEST_REASON or not entry.owner:
            found.append(f"{name}: a reason of at least {SHORTEST_REASON} characters and an owner are needed")
        if entry.expires < today:
            found.append(f"{name} expired on {entry.expires}: correct the template, or decide again and say why")
        if (entry.expires - today).days > LONGEST_DAYS:
            found.append(f"{name} lasts longer than a year: shorten it")
    return found


def judge(findings: list[Finding], entries: list[Suppression]) -> tuple[list[Finding], list[Suppression]]:
    """(findings that no entry covers, entries that cover no finding)."""
    left = [f for f in findings if not any(e.covers(f) for e in entries)]
    unused = [e for e in entries if not any(e.covers(f) for f in findings)]
    return left, unused
