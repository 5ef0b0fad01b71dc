"""Which entries of the timeline are wanted: the same for the case's page and the API. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from forensics.report.chronology import Moment


@dataclass(frozen=True)
class TimelineFilter:
    """``since`` is included, ``until`` is not; times without an offset are UTC; None asks for nothing."""

    kind: str | None = None
    evidence_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None

    def fits(self, moment: Moment) -> bool:
        """Whether the entry is wanted."""
        return (
            (self.kind is None or moment.kind == self.kind)
            and (self.evidence_id is None or moment.evidence_id == self.evidence_id)
            and (self.since is None or moment.time >= _utc(self.since))
            and (self.until is None or moment.time < _utc(self.until))
            and (self.text is None or self.text.lower() in f"{moment.what} {moment.source}".lower())
        )

    @property
    def asks(self) -> bool:
        """Whether some entries are left out."""
        return any(getattr(self, field.name) is not None for field in fields(self))

    def address(self, page: str, **changes: object) -> str:
        """The timeline of a case's page with this filter and some changes."""
        asked = replace(self, **changes)  # type: ignore[arg-type]
        given = {f.name: _written(getattr(asked, f.name)) for f in fields(asked) if getattr(asked, f.name) is not None}
        return f"{page}{'?' if given else ''}{urlencode(given)}#timeline"


EVERYTHING = TimelineFilter()


def _written(value: object) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
