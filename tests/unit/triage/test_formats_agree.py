"""One intrusion gets one plan, whether GuardDuty's event tells of it or Security Hub's format, for every type and role.

The types and their spellings in ASFF: Amazon GuardDuty user guide, "Integrating with AWS Security Hub"
(tests/data/guardduty_types.yaml).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from forensics.intake.readers.dispatch import read_event
from forensics.models.finding import Finding
from forensics.triage.context import TriageContext
from forensics.triage.decision import decide
from forensics.triage.policy import packaged
from tests.unit.builders import target
from tests.unit.guardduty_types import BY_ASFF

EVENTS = Path(__file__).parents[2] / "data" / "events"
RECEIVED_AT = datetime(2026, 10, 5, 8, 16, tzinfo=UTC)
ROLES = ("ACTOR", "TARGET")
# GuardDuty's number and Security Hub's label
SEVERITIES = ((2, "LOW"), (5, "MEDIUM"), (8, "HIGH"), (9.5, "CRITICAL"))


def _event(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text("utf-8"))


def _guardduty(own: str, spelled: str, *, role: str, severity: tuple[float, str]) -> Any:
    del spelled
    event = _event("guardduty_ec2_c2")
    event["detail"] |= {"type": own, "severity": severity[0]}
    event["detail"]["service"]["resourceRole"] = role
    return event


def _asff(own: str, spelled: str, *, role: str, severity: tuple[float, str]) -> Any:
    del own
    event = _event("asff_imported_guardduty_c2")
    (found,) = event["detail"]["findings"]
    found |= {"Types": [spelled], "Severity": {"Label": severity[1]}}
    found["ProductFields"]["aws/guardduty/service/resourceRole"] = role
    return event


def _read(event: Any) -> Finding:
    result = read_event(json.dumps(event), received_at=RECEIVED_AT, own_account="222233334444")
    (found,) = result.findings
    return found


def _plan(found: Finding) -> tuple[object, ...]:
    plan = decide([found], target=target(), loaded=packaged(), now=RECEIVED_AT, context=TriageContext())
    going = tuple((d.wanted, d.go) for d in plan.decisions)
    return (
        plan.playbook,
        going,
        plan.approval.required,
        plan.order,
        plan.containment,
        plan.investigation,
        plan.questions,
    )


ROWS = [(spelled, own, role) for spelled, own in sorted(BY_ASFF.items()) for role in ROLES]


@pytest.mark.parametrize(("spelled", "own", "role"), ROWS)
def test_event_and_asff_get_the_same_plan(spelled: str, own: str, role: str) -> None:
    makers: tuple[Callable[..., Any], ...] = (_guardduty, _asff)
    for severity in SEVERITIES:
        event, asff = (_read(make(own, spelled, role=role, severity=severity)) for make in makers)
        assert _plan(event) == _plan(asff), severity


def test_there_is_a_row_for_every_type_and_role() -> None:
    assert len(ROWS) >= 220 and len({own for _, own, _ in ROWS}) >= 55
