"""The case's own entries, and the findings of its tools, as entries of the timeline. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from forensics.models.case import CaseView, TimelineKind
from forensics.models.results import ToolResults
from forensics.models.timeline import TimelineSource
from forensics.report.chronology import TOOL_KIND, Moment, merged
from forensics.timeline.columns import row

DETECTION_FINDING = 2004
_SOURCES = {
    TimelineKind.FINDING.value: TimelineSource.FINDING,
    TimelineKind.CUSTODY.value: TimelineSource.CUSTODY,
}
_OF_TOOL = {
    "memory": TimelineSource.MEMORY,
    "cloud": TimelineSource.CLOUD,
    "plaso": TimelineSource.PLASO,
    "live": TimelineSource.LIVE_RESPONSE,
}
Row = dict[str, object]


def source_of_tool(tool: str, evidence_id: str) -> TimelineSource:
    """The partition of what a tool found in evidence; tools of a deployment's own are sorted by what they examined."""
    if evidence_id.startswith("live-response-"):
        return TimelineSource.LIVE_RESPONSE
    if evidence_id.startswith(("account-state-", "cloud-trail-", "flow-logs-", "query-logs-")):
        return TimelineSource.CLOUD
    by_evidence = TimelineSource.MEMORY if evidence_id.startswith("memory-") else TimelineSource.DISK
    return _OF_TOOL.get(tool, by_evidence)


def case_moments(view: CaseView) -> list[Moment]:
    """What the case itself has on the axis, without what tools found in evidence."""
    return [moment for moment in merged(view) if moment.kind != TOOL_KIND]


def case_rows(view: CaseView, *, until: datetime) -> dict[TimelineSource, list[Row]]:
    """The case's own entries up to a moment, by source: the same in every try of the step that stores them."""
    case, found = view.case, dict[TimelineSource, list[Row]]()
    for moment in case_moments(view):
        if moment.time > until:
            continue
        source = _SOURCES.get(moment.kind, TimelineSource.CASE)
        found.setdefault(source, []).append(
            row(
                time=moment.time, message=moment.what, origin=moment.source, kind=moment.kind, evidence_id=moment.evidence_id or "",
                timestamp_desc=f"{moment.kind.capitalize()} time", data_type=f"forensics:{moment.kind}", host=case.instance_id,
                account_id=case.account_id, region=case.region,
            )
        )  # fmt: skip
    return found


def finding_rows(view: CaseView, result: ToolResults) -> Iterator[Row]:
    """The findings of one tool that have a time."""
    case = view.case
    for finding in result.findings:
        if finding.time:
            yield row(
                time=finding.time, message=f"{finding.severity.value}: {finding.title}", origin=finding.source or result.tool,
                evidence_id=result.evidence_id, timestamp_desc="Finding time", data_type=f"forensics:finding:{result.tool}",
                class_uid=DETECTION_FINDING, finding_id=finding.id, severity=finding.severity.value, technique=finding.technique or "",
                host=case.instance_id, account_id=case.account_id, region=case.region,
                user_name=next((v for n in ("user", "user_name", "username", "account") if isinstance(v := finding.data.get(n), str)), ""),
                addresses=[v for v in finding.data.values() if isinstance(v, str) and v.count(".") == 3][:4],
            )  # fmt: skip


def notable_rows(view: CaseView, result: ToolResults) -> Iterator[Row]:
    """The moments that a tool lists beside its findings: all that there is of one that writes no timeline of its own."""
    case = view.case
    for entry in result.timeline:
        yield row(
            time=entry.time, message=entry.what, origin=entry.source or result.tool, evidence_id=result.evidence_id,
            timestamp_desc="Time in the evidence", data_type=f"forensics:{result.tool}", host=case.instance_id,
            account_id=case.account_id, region=case.region,
        )  # fmt: skip
