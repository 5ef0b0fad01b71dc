"""Incidents: cases that hang together, by links that say something."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.incident.grouping import incident_of
from forensics.models.indicators import LinkedCase
from forensics.models.results import Confidence

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def case(n: int) -> str:
    return f"fc-20261124-{n:010x}"


def linked(*pairs: tuple[int, int, Confidence]) -> dict[str, list[LinkedCase]]:
    found: dict[str, list[LinkedCase]] = {}
    for one, other, confidence in pairs:
        for a, b in ((one, other), (other, one)):
            found.setdefault(case(a), []).append(
                LinkedCase(case_id=case(b), confidence=confidence, shared=(), found_at=NOW)
            )
    return found


def test_cases_are_followed_by_links_and_each_link_is_shown_once() -> None:
    links = linked((1, 2, Confidence.HIGH), (2, 3, Confidence.MEDIUM), (3, 1, Confidence.HIGH), (7, 8, Confidence.HIGH))
    found = incident_of(case(1), lambda c: links.get(c, []))
    assert set(found.cases) == {case(1), case(2), case(3)} and found.cases[0] == case(1)
    assert len(found.links) == 3 and not found.cut


def test_weak_links_are_shown_and_not_followed() -> None:
    links = linked((1, 2, Confidence.LOW), (2, 3, Confidence.HIGH))
    found = incident_of(case(1), lambda c: links.get(c, []))
    assert found.cases == (case(1), case(2))


def test_no_more_cases_are_followed_than_a_page_holds() -> None:
    links = linked(*((n, n + 1, Confidence.HIGH) for n in range(100)))
    found = incident_of(case(0), lambda c: links.get(c, []), most=10)
    assert len(found.cases) == 10 and found.cut
    assert all(link.one in found.cases and link.other in found.cases for link in found.links)
