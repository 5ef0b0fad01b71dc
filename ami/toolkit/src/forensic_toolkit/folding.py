"""Findings folded for a reader: equal hits become one finding with their number, first and last time.

Two steps. Hits that say the same (title, technique, and detail apart from its numbers) are always one finding; a rule may widen
that with ``Finding.fold``. What then remains of one kind is listed one by one as long as it is little; many of a kind that are not
grave become one finding that lists the newest of them. The gravest, then the newest, speaks for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from forensic_toolkit.findings import SEVERITIES, Finding, Severity

# So many different findings of one kind are listed one by one; graver ones always are.
APART: dict[Severity, int] = {"medium": 4, "low": 4, "info": 12}
MAX_EXAMPLES = 20
_NUMBER = re.compile(r"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b|\b[0-9a-f]{12,64}\b|\d+(?:[.:]\d+)*")
_ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class Fold:
    """Findings folded one by one, so that a million hits need no more memory than their different forms."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, ...], Finding] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def add(self, finding: Finding) -> None:
        """Fold a finding into its like."""
        key = _same(finding)
        known = self._by_key.get(key)
        self._by_key[key] = finding if known is None else joined(known, finding)

    def folded(self) -> list[Finding]:
        """What was added, each form once."""
        return list(self._by_key.values())


def folded(findings: Iterable[Finding]) -> list[Finding]:
    """All findings as a person reads them."""
    same = Fold()
    for finding in {finding.identity(): finding for finding in findings}.values():
        same.add(finding)
    return list(_kinds(same.folded()))


def joined(one: Finding, other: Finding) -> Finding:
    """Two findings as one: the graver speaks, at equal gravity the newer."""
    speaks, silent = (one, other) if _weight(one) >= _weight(other) else (other, one)
    examples = dict.fromkeys((*_examples(speaks), *_examples(silent)))
    return replace(
        speaks,
        count=one.count + other.count,
        first=min(filter(None, (_first(one), _first(other))), default=None),
        last=max(filter(None, (_last(one), _last(other))), default=None),
        examples=tuple(examples)[:MAX_EXAMPLES],
    )


def newest_first(finding: Finding) -> tuple[int, float]:
    """The order in which findings are kept where not all can be: the gravest, then the newest."""
    return SEVERITIES.index(finding.severity), -(_last(finding) or _EARLIEST).timestamp()


def _kinds(findings: list[Finding]) -> Iterator[Finding]:
    """Findings of one kind together, where there are many that are not grave."""
    kinds: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding.severity in APART:
            kinds.setdefault((kind_of(finding), finding.severity), []).append(finding)
        else:
            yield finding
    for (kind, severity), alike in kinds.items():
        if len(alike) <= APART[severity]:  # type: ignore[index]
            yield from alike
            continue
        ordered = sorted(alike, key=newest_first)
        whole = ordered[0]
        for finding in ordered[1:]:
            whole = joined(whole, finding)
        title = f"{kind} ({whole.count} in all)" if kind else whole.title
        yield replace(whole, title=title, detail=f"the newest: {whole.title}: {whole.detail}")


def kind_of(finding: Finding) -> str:
    """What a finding is about without the thing that it names."""
    return finding.kind or re.split(r": | \(| from |(?<=\w) (?=/)", finding.title, maxsplit=1)[0]


def squashed(text: str) -> str:
    """A text without the numbers that differ between equal messages; network addresses are kept."""
    kept = _ADDRESS.split(text)
    addresses = _ADDRESS.findall(text)
    parts = [_NUMBER.sub("#", part) for part in kept]
    return "".join(part + address for part, address in zip(parts, [*addresses, ""], strict=True))


def _same(finding: Finding) -> tuple[str, ...]:
    if finding.fold is not None:
        return finding.fold, finding.technique or ""
    # A path or name that differs by a number is a different thing; numbers in what a log says are process ids and times.
    return finding.title, finding.technique or "", squashed(finding.detail)


def _weight(finding: Finding) -> tuple[int, datetime]:
    return -SEVERITIES.index(finding.severity), finding.time or _EARLIEST


def _examples(finding: Finding) -> tuple[tuple[str, str, datetime | None], ...]:
    return finding.examples or ((finding.title, finding.source, finding.time),)


def _first(finding: Finding) -> datetime | None:
    return finding.first or finding.time


def _last(finding: Finding) -> datetime | None:
    return finding.last or finding.time
