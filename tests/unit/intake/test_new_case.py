"""The case that a finding opens."""

from __future__ import annotations

from datetime import timedelta

from forensics.intake.new_case import case_from
from forensics.models.case import CaseStatus
from forensics.models.finding import CustomAction
from tests.unit.builders import ACCOUNT, INSTANCE, NOW, REGION, finding


def test_the_case_has_what_the_finding_says() -> None:
    item = finding(requester="Ada", reason="ticket", sample=True)
    case = case_from(item, received_at=NOW)
    assert (case.account_id, case.region, case.instance_id) == (ACCOUNT, REGION, INSTANCE)
    assert (case.title, case.severity, case.source) == ("C2 traffic", "HIGH", "guardduty")
    assert (case.finding_key, case.requester, case.reason, case.sample) == (item.key, "Ada", "ticket", True)
    assert case.status is CaseStatus.OPEN and case.received_at == NOW
    assert case.run_id == case.case_id and case.case_id.startswith("fc-20261124-")


def test_a_run_of_its_own_keeps_its_id() -> None:
    assert case_from(finding(), received_at=NOW, run_id="manual__1").run_id == "manual__1"


def test_a_redelivery_gives_the_same_case_and_an_order_or_escalation_another() -> None:
    first = case_from(finding(), received_at=NOW).case_id
    assert case_from(finding(), received_at=NOW + timedelta(days=1)).case_id == first
    others = {
        case_from(finding(action=CustomAction.FULL), received_at=NOW).case_id,
        case_from(finding(), received_at=NOW, after=first).case_id,
    }
    assert len(others | {first}) == 3
