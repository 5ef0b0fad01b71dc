"""The case's own entries and its tools' findings as entries of the timeline."""

from __future__ import annotations

import pytest

from forensics.models.timeline import TimelineSource
from forensics.timeline.case_rows import case_moments, case_rows, finding_rows, notable_rows, source_of_tool
from tests.unit.report import sample


def test_the_case_s_own_entries_stand_in_their_sources_and_none_is_lost() -> None:
    view = sample.rich_view()
    rows = case_rows(view, until=view.generated_at)
    assert {TimelineSource.CASE, TimelineSource.CUSTODY} <= set(rows)
    assert sum(map(len, rows.values())) == len([m for m in case_moments(view) if m.time <= view.generated_at])
    assert {row["data_type"] for row in rows[TimelineSource.CUSTODY]} == {"forensics:custody"}


def test_what_came_after_the_step_began_is_left_to_the_case_table() -> None:
    view = sample.rich_view()
    first = case_moments(view)[0].time
    rows = case_rows(view, until=first)
    assert 0 < sum(map(len, rows.values())) < len(case_moments(view))


def test_findings_carry_severity_technique_and_id() -> None:
    view = sample.rich_view()
    result = next(r for r in view.results if any(f.time and f.technique for f in r.findings))
    wanted = [f for f in result.findings if f.time]
    rows = list(finding_rows(view, result))
    assert [(r["finding_id"], r["severity"], r["technique"]) for r in rows] == [
        (f.id, f.severity.value, f.technique or "") for f in wanted
    ]
    assert {r["class_uid"] for r in rows} == {2004}
    assert len(list(notable_rows(view, result))) == len(result.timeline)


@pytest.mark.parametrize(
    ("tool", "evidence", "source"),
    [
        ("memory", "memory-i-1", TimelineSource.MEMORY), ("disk", "disk-vol-1", TimelineSource.DISK), ("plaso", "disk-vol-1", TimelineSource.PLASO),
        ("clamav", "disk-vol-1", TimelineSource.DISK), ("live", "live-response-i-1", TimelineSource.LIVE_RESPONSE),
        ("cloud", "cloud-trail-i-1", TimelineSource.CLOUD), ("memory-full", "memory-i-1", TimelineSource.MEMORY),
    ],
)  # fmt: skip
def test_each_tool_has_its_partition(tool: str, evidence: str, source: TimelineSource) -> None:
    assert source_of_tool(tool, evidence) is source
