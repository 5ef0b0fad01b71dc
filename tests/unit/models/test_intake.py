"""The intake's words: their values are stored, counted and shown, so they are fixed."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from forensics.models.finding import Severity
from forensics.models.intake import (
    AdmissionOutcome,
    IntakeRecord,
    IntakeResult,
    IntakeVerdict,
    MessageOutcome,
    UnresolvedFinding,
)
from tests.unit.builders import ACCOUNT, NOW, REGION, finding


def test_stored_values_do_not_change() -> None:
    assert [o.value for o in AdmissionOutcome] == [
        "opened",
        "joined",
        "raised",
        "exists",
        "closed",
        "escalated",
        "release",
    ]
    assert [o.value for o in MessageOutcome] == ["ignored", "announced", "quarantined", "failed", "dead"]
    assert [v.value for v in IntakeVerdict] == ["accept", "ignore", "quarantine"]


def test_a_finding_joins_when_it_is_new_to_an_open_case_or_more_severe() -> None:
    assert {o for o in AdmissionOutcome if o.joined} == {AdmissionOutcome.JOINED, AdmissionOutcome.RAISED}


def test_a_message_ranks_as_its_most_urgent_finding() -> None:
    items = (finding(severity=Severity.LOW), finding(key="j" * 16, severity=Severity.CRITICAL))
    assert IntakeResult(verdict=IntakeVerdict.ACCEPT, reason="x", findings=items).rank == Severity.CRITICAL.rank
    assert IntakeResult(verdict=IntakeVerdict.IGNORE, reason="x").rank == 0


def test_an_unresolved_finding_is_where_its_template_is() -> None:
    item = UnresolvedFinding(resource_type="AWS::EC2::Volume", resource_id="vol-1", template=finding())
    assert (item.account_id, item.region) == (ACCOUNT, REGION)


def test_a_record_is_stored_by_value_and_knows_no_other_outcome() -> None:
    record = IntakeRecord.model_validate({"message_id": "m", "received_at": NOW, "verdict": "dead", "reason": "x"})
    assert record.verdict is MessageOutcome.DEAD and record.model_dump(mode="json")["verdict"] == "dead"
    with pytest.raises(ValidationError, match="verdict"):
        IntakeRecord.model_validate({"message_id": "m", "received_at": NOW, "verdict": "lost", "reason": "x"})
