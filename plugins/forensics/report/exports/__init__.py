"""The case for other systems: Timesketch, STIX 2.1 and OCSF. Pure, no Airflow, no AWS."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.models.case import CaseView
from forensics.report.exports import ocsf, stix, timesketch

__all__ = ["Export", "exports"]


@dataclass(frozen=True)
class Export:
    """One file: its name below the report's prefix, its media type and its content (ASCII)."""

    name: str
    content_type: str
    text: str


def exports(view: CaseView) -> list[Export]:
    """Every export of a case as it is now."""
    return [
        Export("timeline.timesketch.jsonl", "application/x-ndjson", timesketch.render(view)),
        Export("case.stix.json", "application/stix+json;version=2.1", stix.render(view)),
        Export("findings.ocsf.jsonl", "application/x-ndjson", ocsf.render(view)),
    ]
