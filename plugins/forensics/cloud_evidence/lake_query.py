"""What is asked of CloudTrail Lake: the records that concern a case, in the SQL that its stores take. Pure.

The condition is the same pattern with which log files are searched (:meth:`Followed.pattern`), over the record as CloudTrail wrote it
(AWS CloudTrail user guide, *CloudTrail Lake SQL constraints* and *Supported SQL schemas for event data stores*: column ``eventJson``;
Trino's ``regexp_like``). Nothing that somebody may have chosen gets into it unescaped.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from forensics.cloud_evidence.followed import Followed

# StartQuery, QueryStatement: at most 10,000 characters (API reference).
MOST_CHARACTERS = 10_000
_STORE_ID = re.compile(r"^[a-f0-9-]{36}$")


def statements(
    store: str, followed: Followed, *, account_id: str, begin: datetime, end: datetime, blinding: bool
) -> list[str]:
    """Queries that give every record of an account and a window that concerns a case, together.

    ``blinding``: calls that blind the account too. ``ValueError`` where the store's ARN has no id.
    """
    store_id = store.rpartition("/")[2]
    if not _STORE_ID.fullmatch(store_id):
        msg = f"{store} is no ARN of an event data store"
        raise ValueError(msg)
    # times of records have whole seconds
    until = end.replace(microsecond=0) + timedelta(seconds=1)
    window = f"eventTime >= '{begin:%Y-%m-%d %H:%M:%S}' AND eventTime <= '{until:%Y-%m-%d %H:%M:%S}'"
    # everything in it is checked (ids, times, digits) or escaped (the pattern)
    where = f"SELECT eventJson FROM {store_id} WHERE {window} AND recipientAccountId = '{account_id}'"  # noqa: S608

    def build(part: Followed, *, first: bool) -> list[str]:
        pattern = part.pattern(blinding=blinding and first).pattern.decode()
        made = f"{where} AND regexp_like(eventJson, '{pattern.replace(chr(39), chr(39) * 2)}')"
        if len(made) <= MOST_CHARACTERS or len(part.ids) + len(part.names) < 2:
            return [made]
        one, other = _halves(part)
        return [*build(one, first=first), *build(other, first=False)]

    return build(followed, first=True)


def _halves(followed: Followed) -> tuple[Followed, Followed]:
    """What is followed in two parts; roles are in the first."""
    ids, names = len(followed.ids) // 2, len(followed.names) // 2
    first = {"ids": followed.ids[:ids], "names": followed.names[:names]}
    second = {"ids": followed.ids[ids:], "names": followed.names[names:], "roles": ()}
    return followed.model_copy(update=first), followed.model_copy(update=second)
