"""Which forensic instances and analysis volumes outlived their case; nothing else can be an orphan. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from forensics.models.case import Case, CaseStatus
from forensics.naming import SYMBOL_LIBRARY

CASE_ID = re.compile(r"fc-[0-9]{8}-[0-9a-f]{10}")
# A case is recorded before its instance is launched: one that is still unknown after this long does not exist.
GRACE = timedelta(minutes=15)
# A symbol table is built in an hour at most; with launch and removal it takes less than this.
LIBRARY_LIMIT = timedelta(hours=2)


@dataclass(frozen=True)
class CaseResource:
    """An instance or volume in the forensic account that was made for the investigation of a case."""

    id: str
    kind: str
    case_id: str
    made_at: datetime

    @property
    def valid_case(self) -> bool:
        """Whether the tag names a case, or the symbol library: a resource is removed under its own case's identity only."""
        return bool(CASE_ID.fullmatch(self.case_id)) or self.case_id == SYMBOL_LIBRARY


def why_orphan(resource: CaseResource, case: Case | None, *, now: datetime, limit: timedelta) -> str | None:
    """Why a resource is an orphan; None when its case may still need it.

    A case that was closed and is investigated again keeps what was made after its closing, up to ``limit``.
    """
    age = now - resource.made_at
    if resource.case_id == SYMBOL_LIBRARY:
        return (
            f"no build of a symbol table takes {age.total_seconds() / 3600:.1f} hours" if age > LIBRARY_LIMIT else None
        )
    if case is None:
        return f"no case {resource.case_id or '(no tag)'} is known" if age > GRACE else None
    if age > limit:
        return f"it is {age.total_seconds() / 3600:.1f} hours old; {limit.total_seconds() / 3600:.0f} are allowed"
    if case.status is not CaseStatus.OPEN and case.closed_at and resource.made_at < case.closed_at:
        return f"its case is {case.status.value} since {case.closed_at:%Y-%m-%d %H:%M:%S}Z"
    return None
