"""Which of the artifacts that a question names were examined, by the tools' own account of what they read.

A plugin that ran without error examined its part of memory. Of a disk the results say for every kind of artifact what became of it
(``artifacts`` of results.json): that a disk was examined says nothing about a log that it does not hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from forensics.models.base import Model
from forensics.models.case import CaseView
from forensics.models.evidence import EvidenceKind, Outcome
from forensics.models.results import ToolArtifact, ToolResults

_READ, _THERE = {"examined", "in part"}, {"unreadable", "in part"}


class ArtifactRule(Model):
    """Where an artifact that a question names is read from; ``read`` are the toolkit's names of it on a disk."""

    evidence: EvidenceKind | None = None
    read: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    collected: bool = True
    where: str = ""


@dataclass(frozen=True)
class Unread:
    """An artifact that could answer and was not examined, and why."""

    artifact: str
    why: str


@dataclass(frozen=True)
class Look:
    """What is known of one artifact: whether it was examined, why it is not there, why it was not (or not all) examined."""

    examined: bool = False
    absent: str = ""
    unread: str = ""


def look(view: CaseView, rule: ArtifactRule) -> Look:
    """What became of an artifact in all evidence of the case."""
    if not rule.collected:
        return Look(unread=f"not collected by this pipeline; look in {rule.where}")
    if rule.evidence is None:
        return Look(unread="no rule says where it is read from")
    kind = rule.evidence
    ids = {e.evidence_id for e in view.evidence if e.kind is kind and e.outcome in {Outcome.ACQUIRED, Outcome.PARTIAL}}
    if not ids:
        said = "; ".join(e.reason for e in view.evidence if e.kind is kind and e.reason)
        return Look(unread=f"no {kind.value} evidence was acquired" + (f": {said[:300]}" if said else ""))
    results = [r for r in view.results if r.evidence_id in ids]
    if not results:
        return Look(unread=f"no {kind.value} evidence was examined")
    if kind is EvidenceKind.MEMORY or rule.tools:
        why = _not_run(results, rule)
        return Look(examined=not why, unread=why or "")
    return _on_disks(results, rule, missing=ids - {r.evidence_id for r in results})


def _on_disks(results: list[ToolResults], rule: ArtifactRule, *, missing: set[str]) -> Look:
    rows = [(r.evidence_id, a) for r in results for a in r.artifacts if a.name in rule.read]
    other = [f"{item} was not examined" for item in sorted(missing)]
    if not rows:
        return Look(unread="; ".join(["the results do not say whether it was read", *other]))
    unread = "; ".join([*(f"{a.name} on {item}: {a.why}" for item, a in rows if a.state in _THERE), *other])
    if any(a.state in _READ for _, a in rows):
        return Look(examined=True, unread=unread)
    if unread:
        return Look(unread=unread)
    return Look(absent="; ".join(dict.fromkeys(_absence(item, a) for item, a in rows)))


def _absence(item: str, artifact: ToolArtifact) -> str:
    if artifact.state == "empty":
        return f"empty on {item}: {', '.join(artifact.paths)}"
    return f"no {artifact.name} on {item}"


def _not_run(results: list[ToolResults], rule: ArtifactRule) -> str | None:
    patterns = rule.tools or rule.sources
    runs = [
        run
        for result in results
        for run in result.provenance
        if matches(run.tool, patterns) or any(matches(argument, patterns) for argument in run.argv)
    ]
    # tens of thousands of findings have a few sources
    if not runs and any(matches(source, rule.sources) for source in {f.source for r in results for f in r.findings}):
        return None
    if not runs:
        return "no tool that reads it ran"
    if all(run.error or run.exit for run in runs):
        return f"the tool that reads it failed: {runs[0].error or f'exit status {runs[0].exit}'}"
    return None


def matches(text: str, patterns: tuple[str, ...] | list[str]) -> bool:
    """Whether a text fits one of the patterns, whatever its case."""
    lowered = text.lower()
    return any(fnmatchcase(lowered, pattern.lower()) for pattern in patterns)
