"""The techniques that tools found, by the tactics of MITRE ATT&CK in the order of an intrusion. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from forensics.attack_techniques import TACTICS, TECHNIQUES
from forensics.models.case import CaseView
from forensics.models.results import ResultSeverity
from forensics.report.sections import SEVERITY_LEVEL

# Left to right as on ATT&CK's Enterprise matrix; a tactic that is not named here follows.
ORDER = (
    "TA0043", "TA0042", "TA0001", "TA0002", "TA0003", "TA0004", "TA0005", "TA0112", "TA0006", "TA0007", "TA0008", "TA0009", "TA0011", "TA0010", "TA0040",
)  # fmt: skip
_RANK = {severity: rank for rank, severity in enumerate(ResultSeverity)}


@dataclass(frozen=True)
class Seen:
    """A technique with its findings; ``level`` is that of the gravest."""

    technique: str
    name: str
    findings: int
    level: str


@dataclass(frozen=True)
class Tactic:
    """A tactic and what was seen of it; nothing seen is not proof that nothing happened."""

    name: str
    seen: tuple[Seen, ...]


def attack_strip(view: CaseView) -> list[Tactic]:
    """Every tactic in order; none when no tool named a technique. A technique of several tactics is below each."""
    found = [f for r in view.results for f in r.findings if f.technique]
    if not found:
        return []
    tally = Counter(f.technique for f in found)
    gravest: dict[str, ResultSeverity] = {}
    for finding in found:
        known = gravest.get(str(finding.technique))
        if known is None or _RANK[finding.severity] > _RANK[known]:
            gravest[str(finding.technique)] = finding.severity
    held: dict[str, list[Seen]] = {}
    for technique, severity in sorted(gravest.items(), key=lambda pair: (-_RANK[pair[1]], pair[0])):
        row = TECHNIQUES.get(technique)
        seen = Seen(technique, row.name if row else "", tally[technique], SEVERITY_LEVEL[severity])
        for tactic in row.tactics if row else ("",):
            held.setdefault(tactic, []).append(seen)
    names = [*ORDER, *sorted(set(TACTICS) - set(ORDER)), *([""] if "" in held else [])]
    return [Tactic(TACTICS.get(tactic, "tactic not known"), tuple(held.get(tactic, ()))) for tactic in names]
