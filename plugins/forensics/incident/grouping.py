"""Cases that hang together by links: an incident. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from forensics.models.indicators import LinkedCase
from forensics.models.results import Confidence

MOST = 50


@dataclass(frozen=True)
class Link:
    """One link between two cases of an incident."""

    one: str
    other: str
    link: LinkedCase


@dataclass(frozen=True)
class Incident:
    """Cases, the one that was asked for first, and the links between them; ``cut``: there are more cases than are followed."""

    cases: tuple[str, ...]
    links: tuple[Link, ...]
    cut: bool = False


def incident_of(case_id: str, links_of: Callable[[str], Sequence[LinkedCase]], *, most: int = MOST) -> Incident:
    """Follow links from a case. Those of low confidence are shown and not followed: a chain of weak links joins everything."""
    cases, waiting, links, cut = [case_id], [case_id], dict[tuple[str, str], Link](), False
    while waiting:
        here = waiting.pop(0)
        for found in links_of(here):
            pair = (min(here, found.case_id), max(here, found.case_id))
            links.setdefault(pair, Link(*pair, found))
            if found.case_id in cases:
                continue
            if len(cases) == most:
                cut = True
                continue
            cases.append(found.case_id)
            if found.confidence is not Confidence.LOW:
                waiting.append(found.case_id)
    shown = [link for link in links.values() if link.one in cases and link.other in cases]
    return Incident(tuple(cases), tuple(shown), cut)
