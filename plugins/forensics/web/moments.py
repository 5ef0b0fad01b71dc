"""Times in addresses of pages."""

from __future__ import annotations

from datetime import UTC, datetime

from forensics.web.problem import Problem


def moment_of(text: str) -> datetime | None:
    """A time of the query, UTC without an offset; None for an empty one. Raises :class:`Problem`."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Problem(422, "The address has a wrong value", "The request was not carried out", f"{text[:40]!r} is no time",
                      "Write times as 2026-11-24T03:00 (UTC).") from None  # fmt: skip
    return found if found.tzinfo else found.replace(tzinfo=UTC)
