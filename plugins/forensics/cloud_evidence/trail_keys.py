"""Where CloudTrail puts its log and digest files in a bucket, and what their names say. Pure.

Source: AWS CloudTrail user guide, *Finding your CloudTrail log files* and *CloudTrail digest file structure*. An organization's trail
has the organization's id before the account's. Names of log files have the time at which they were delivered, not that of the calls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from forensics.models.outside import Outside

# A log file is delivered within minutes of the call; what came up to so much later is looked for as well.
LATE = timedelta(hours=1)
_LOG = re.compile(
    r"(?:^|/)AWSLogs/(?:o-[a-z0-9]{10,32}/)?(?P<account>\d{12})/CloudTrail/(?P<region>[a-z0-9-]+)/\d{4}/\d{2}/\d{2}/"
    r"(?P<named>\d{12})_CloudTrail_[a-z0-9-]+_(?P<time>\d{8}T\d{4})Z_[A-Za-z0-9]+\.json\.gz$"
)


class TrailPlace(Outside):
    """Where a trail writes. ``organization`` is the id of an organization's trail, otherwise empty."""

    arn: str
    bucket: str
    prefix: str = ""
    organization: str = ""
    validated: bool = False
    key_arn: str = ""

    def _root(self, account_id: str, kind: str) -> str:
        parts = [self.prefix.strip("/"), "AWSLogs", self.organization, account_id, kind]
        return "/".join(part for part in parts if part) + "/"

    def regions_prefix(self, account_id: str) -> str:
        """Below it there is a folder for each Region in which the account's calls were logged."""
        return self._root(account_id, "CloudTrail")

    def day_prefixes(self, account_id: str, region: str, *, begin: datetime, end: datetime) -> Iterator[str]:
        """Prefixes of the days in a window, the oldest first."""
        yield from _days(f"{self._root(account_id, 'CloudTrail')}{region}/", begin, end + LATE)

    def digest_prefixes(self, account_id: str, region: str, *, begin: datetime, end: datetime) -> Iterator[str]:
        """The same for digest files; one names the log files of the hour before it."""
        yield from _days(f"{self._root(account_id, 'CloudTrail-Digest')}{region}/", begin, end + 2 * LATE)


@dataclass(frozen=True)
class LogName:
    """What the key of a log file says."""

    account_id: str
    region: str
    delivered: datetime


def log_name(key: str) -> LogName | None:
    """The key of a log file, read; None for any other key (a digest file, insights, somebody's own)."""
    found = _LOG.search(key)
    if found is None or found["account"] != found["named"]:
        return None
    try:
        delivered = datetime.strptime(found["time"], "%Y%m%dT%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None
    return LogName(found["account"], found["region"], delivered)


def within(key: str, *, begin: datetime, end: datetime) -> bool:
    """Whether a log file of this name can have calls of the window."""
    name = log_name(key)
    return name is not None and begin <= name.delivered <= end + LATE


def _days(root: str, begin: datetime, end: datetime) -> Iterator[str]:
    day = begin.astimezone(UTC).date()
    while day <= end.astimezone(UTC).date():
        yield f"{root}{day:%Y/%m/%d}/"
        day += timedelta(days=1)
