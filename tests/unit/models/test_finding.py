"""A finding's order in the intake, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from forensics.models.finding import PERSONS_RANK, CustomAction, FindingSource, Severity
from tests.unit.builders import finding


def test_severities_are_ordered() -> None:
    assert [severity.rank for severity in Severity] == [0, 1, 2, 3, 4]
    assert Severity.CRITICAL.rank == 4


@pytest.mark.parametrize(
    ("changes", "rank"),
    [
        ({"severity": Severity.LOW}, 1),
        ({"severity": Severity.CRITICAL}, 4),
        ({"severity": Severity.LOW, "action": CustomAction.TRIAGE}, PERSONS_RANK),
        ({"severity": Severity.LOW, "source": FindingSource.MANUAL}, PERSONS_RANK),
    ],
)
def test_a_persons_order_is_processed_before_every_severity(changes: dict[str, Any], rank: int) -> None:
    assert finding(**changes).intake_rank == rank
    assert Severity.CRITICAL.rank < PERSONS_RANK


@pytest.mark.parametrize(
    ("field", "value"),
    [("account_id", "3333"), ("region", "nowhere"), ("instance_id", "i-1"), ("key", "short"), ("colour", "red")],
)
def test_a_malformed_finding_is_refused_by_the_field(field: str, value: str) -> None:
    with pytest.raises(ValidationError, match=field):
        finding(**{field: value})
