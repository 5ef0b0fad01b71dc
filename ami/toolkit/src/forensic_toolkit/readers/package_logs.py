"""What package managers installed, changed and removed, by their own logs.

Sources: dpkg(1) (``--log``: local time, action, package, versions before and after), dnf's ``dnf.rpm.log`` (time with its offset,
level, action, package). Both are written again from the start by logrotate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers.compressed_logs import content_of
from forensic_toolkit.readers.coverage import Artifact, Coverage

FILES = r"/var/log/(dpkg\.log|dnf\.rpm\.log)([.-][^/]*)?"
KIND = "package log"
_DPKG = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:(install|upgrade|remove|purge) (\S+) (\S+) (\S+)|\S+.*)$")
_DNF = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[+-]\d{4}|Z)) \S+ (?:(Installed|Upgrade|Upgraded|Erase|Removed|Downgraded|Reinstalled): (\S+)|.*)"
)
_OFTEN_SAID = {"Upgraded": ""}  # dnf says Upgrade for the new package and Upgraded for the old one


@dataclass(frozen=True, slots=True)
class PackageChange:
    """One package that was installed, changed or removed."""

    time: datetime
    action: str
    package: str
    source: str


def changes(tree: Tree, *, zone: tzinfo, coverage: Coverage) -> Iterator[PackageChange]:
    """The changes in every log, in its order; lines that are no changes only count as understood."""
    for entry in tree.files(FILES):
        content = content_of(entry)
        artifact = coverage.add(Artifact(KIND, entry.path, entry.size, problems=list(content.problems)))
        for line in content.text.splitlines():
            if not line.strip():
                continue
            artifact.lines += 1
            found = _read(line, zone=zone)
            if found is None:
                continue
            moment, action, package = found
            artifact.understood(moment)
            if package:
                yield PackageChange(moment, action, package, entry.path)


def _read(line: str, *, zone: tzinfo) -> tuple[datetime, str, str] | None:
    """Time, action and package of a line; no package when it tells of no change, None when it is not understood."""
    try:
        if match := _DPKG.match(line):
            moment = datetime.fromisoformat(match[1]).replace(tzinfo=zone).astimezone(UTC)
            version = match[5] if match[2] in ("install", "upgrade") else match[4]
            return moment, match[2] or "", f"{match[3]} {version}" if match[2] else ""
        if match := _DNF.match(line):
            action = _OFTEN_SAID.get(match[2] or "", (match[2] or "").lower())
            return datetime.fromisoformat(match[1]).astimezone(UTC), action, match[3] if action else ""
    except ValueError:
        return None
    return None
