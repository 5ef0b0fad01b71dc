"""What packages changed, day by day: whether an update or a new program explains what the host does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import tzinfo

from forensic_toolkit.filesystems.tree import Tree
from forensic_toolkit.readers import package_logs
from forensic_toolkit.readers.coverage import Coverage
from forensic_toolkit.readers.package_logs import PackageChange
from forensic_toolkit.results import Event, Finding, Results

MAX_DAYS, MAX_NAMED = 30, 12


def package_changes(tree: Tree, *, zone: tzinfo, coverage: Coverage, results: Results) -> Iterator[Finding]:
    """One finding for each of the latest days with changes; every change becomes a timeline entry."""
    days: dict[tuple[str, str], list[PackageChange]] = defaultdict(list)
    for change in package_logs.changes(tree, zone=zone, coverage=coverage):
        days[change.time.date().isoformat(), change.source].append(change)
        what = f"Package {change.action}: {change.package}"
        results.events.append(Event(change.time, what, change.source, "Package Change Time"))
    for (day, source), changes in sorted(days.items())[-MAX_DAYS:]:
        named = ", ".join(f"{change.action} {change.package}" for change in changes[:MAX_NAMED])
        more = f" and {len(changes) - MAX_NAMED} more" if len(changes) > MAX_NAMED else ""
        yield Finding(
            title=f"Packages changed on {day}",
            detail=f"{len(changes)} changes by the package manager's own log: {named}{more}",
            severity="info",
            confidence="high",
            source=source,
            time=changes[-1].time,
            fold=f"packages {day} {source}",
            data={"changes": len(changes), "packages": [change.package for change in changes[:50]]},
        )
