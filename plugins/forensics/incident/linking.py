"""Enters a case's indicators in the index, and says which other cases share some."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from forensics import case_keys
from forensics.case.recorder import CaseRecorder
from forensics.incident.indicators import MOST_CASES, by_case, confidence_of, indicators_of
from forensics.models.indicators import Indicator, LinkedCase
from forensics.models.results import Confidence
from forensics.printable import count

_TOLD = 5
_WORTH_A_MESSAGE = (Confidence.HIGH, Confidence.MEDIUM)


class Index(Protocol):
    """Which cases have an indicator."""

    def add(self, case_id: str, indicator: Indicator) -> None:
        """State that a case has an indicator."""
        ...

    def cases(self, indicator: Indicator, *, limit: int) -> list[str]:
        """Ids of cases that have it."""
        ...


def link_case(recorder: CaseRecorder, index: Index | None = None) -> list[LinkedCase]:
    """Link the case with others, in both cases' records; people are told once of each further link. Safe to repeat."""
    known, now = index or recorder.gateways.store.indicators, datetime.now(UTC)
    indicators = indicators_of(recorder.view())
    hits = []
    for indicator in indicators:
        known.add(recorder.case_id, indicator)
        hits.append((indicator, known.cases(indicator, limit=MOST_CASES + 2)))
    links = [
        LinkedCase(case_id=other, confidence=confidence, shared=tuple(shared), found_at=now)
        for other, shared in sorted(by_case(hits, own=recorder.case_id).items())
        if (confidence := confidence_of(shared)) is not None
    ]
    store = recorder.gateways.store
    for link in links:
        store.put(recorder.case_id, f"{case_keys.LINKED}{link.case_id}", link)
        store.put(
            link.case_id, f"{case_keys.LINKED}{recorder.case_id}", link.model_copy(update={"case_id": recorder.case_id})
        )
    _tell(recorder, links, len(indicators))
    return links


def _tell(recorder: CaseRecorder, links: list[LinkedCase], indicators: int) -> None:
    recorder.note(f"{count(indicators, 'indicator')} compared with all cases: {count(len(links), 'case')} share some")
    grave = [link for link in links if link.confidence in _WORTH_A_MESSAGE]
    if not grave:
        return
    more = [f"and {len(grave) - _TOLD} more"] if len(grave) > _TOLD else []
    recorder.announce(
        f"linked_{'_'.join(sorted(link.case_id for link in grave))}"[:200],
        f"{count(len(grave), 'other case')} may belong to the same attack",
        lines=[*(_words(link) for link in grave[:_TOLD]), *more],
        facts={"cases": [link.case_id for link in grave[:50]]},
    )


def _words(link: LinkedCase) -> str:
    shared = ", ".join(f"{i.kind.value} {i.value[:80]}" for i in link.shared[:3])
    return f"{link.case_id}, confidence {link.confidence.value}: {shared}"
