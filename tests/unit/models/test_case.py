"""A case and its view."""

from __future__ import annotations

import pytest

from forensics.models.case import CaseStatus, CaseView
from forensics.models.evidence import DiskEvidence, MemoryEvidence
from tests.unit.builders import case
from tests.unit.report import sample


@pytest.mark.parametrize(
    ("status", "closed"),
    [
        (CaseStatus.OPEN, False),
        (CaseStatus.CLOSED, True),
        (CaseStatus.CLOSED_WITH_GAPS, True),
        (CaseStatus.FAILED, False),
    ],
)
def test_a_case_is_closed_with_or_without_gaps(status: CaseStatus, closed: bool) -> None:
    assert case(status=status).closed is closed


def test_a_view_survives_json_with_evidence_of_every_kind() -> None:
    view = sample.rich_view()
    again = CaseView.model_validate_json(view.model_dump_json(by_alias=True))
    assert again == view
    assert {type(e) for e in again.evidence} >= {MemoryEvidence, DiskEvidence}
