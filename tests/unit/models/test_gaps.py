"""A gap in one line."""

from __future__ import annotations

from forensics.models.gaps import Gap, GapKind


def test_a_gap_reads_as_what_and_why() -> None:
    gap = Gap(
        kind=GapKind.EVIDENCE, subject="disk-vol-1 ended FAILED", why="the key is disabled", next_action="enable it"
    )
    assert str(gap) == "disk-vol-1 ended FAILED: the key is disabled"
    assert Gap.model_validate_json(gap.model_dump_json()) == gap
