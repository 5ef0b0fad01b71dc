"""Which forensic instances and analysis volumes outlived their case. Nothing else is ever called an orphan."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from forensics.models.case import Case, CaseStatus
from forensics.naming import SYMBOL_LIBRARY

CASE_ID = re.compile(r"fc-[0-9]{8}-[0-9a-f]{10}")
# A launch is recorded in the case before it is made; a case that is unknown for this long is no race.
GRACE = timedelta(minutes=15)
# A build of a symbol table takes an hour at most, launch and removal included less than this.
LIBRARY_LIMIT = timedelta(hours=2)


@dataclass(frozen=True)
class Holding:
    """Something in the forensic account that a case made for its investigation and pays for."""

    id: str
    kind: str
    case_id: str
    made_at: datetime

    @property
    def valid_case(self) -> bool:
        """Whether the tag names a case, or the symbol library; the role that removes things works for one case only."""
        return bool(CASE_ID.fullmatch(self.case_id)) or self.case_id == SYMBOL_LIBRARY


def why_orphan(holding: Holding, case: Case | None, *, now: datetime, limit: timedelta) -> str | None:
    """Say why a holding is an orphan; None when its case may still need it.

    A case that was closed and is investigated again keeps what was made after its closing, up to ``limit``.
    """
    age = now - holding.made_at
    if holding.case_id == SYMBOL_LIBRARY:
        return (
            f"no build of a symbol table takes {age.total_seconds() / 3600:.1f} hours" if age > LIBRARY_LIMIT else None
        )
    if case is None:
        return f"no case {holding.case_id or '(no tag)'} is known" if age > GRACE else None
    if age > limit:
        return f"it is {age.total_seconds() / 3600:.1f} hours old; {limit.total_seconds() / 3600:.0f} are allowed"
    if case.status is not CaseStatus.OPEN and case.closed_at and holding.made_at < case.closed_at:
        return f"its case is {case.status.value} since {case.closed_at:%Y-%m-%d %H:%M:%S}Z"
    return None
