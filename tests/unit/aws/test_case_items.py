"""Keys of the table: what is stored under them must be found by every later release."""

from __future__ import annotations

import pytest

from forensics.aws import case_items
from forensics.models.finding import CustomAction, Severity
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION, case, finding


def test_an_item_lies_below_its_case() -> None:
    assert case_items.item_key(CASE_ID, "PLAN") == {"PK": {"S": f"CASE#{CASE_ID}"}, "SK": {"S": "PLAN"}}


def test_the_lock_belongs_to_the_instance_and_not_to_the_case() -> None:
    lock = {"PK": {"S": f"OPEN#{ACCOUNT}#{REGION}#{INSTANCE}"}, "SK": {"S": "LOCK"}}
    assert case_items.lock_key(case()) == lock
    assert case_items.lock_key(case(case_id="fc-20261125-0123456789")) == lock


@pytest.mark.parametrize(
    ("action", "pk"),
    [(None, f"FINDING#{'k' * 16}"), (CustomAction.TRIAGE, f"FINDING#{'k' * 16}#{CustomAction.TRIAGE}")],
)
def test_a_persons_order_on_a_finding_has_a_key_of_its_own(action: CustomAction | None, pk: str) -> None:
    assert case_items.finding_key(finding(action=action)) == {"PK": {"S": pk}, "SK": {"S": "CASE"}}


def test_a_finding_carries_the_rank_that_a_raise_is_measured_by() -> None:
    item = case_items.finding_item(CASE_ID, finding(severity=Severity.CRITICAL))
    assert item["SK"] == {"S": f"FINDING#{'k' * 16}#guardduty"}
    assert item["severity_rank"] == {"N": str(Severity.CRITICAL.rank)}
    assert item["data"]["M"]["severity"] == {"S": "CRITICAL"}


def test_a_case_is_found_by_instance_and_by_status_in_order_of_time() -> None:
    opened = "2026-11-24T08:00:00.000000Z"
    assert case_items.indexes(case()) == {
        "GSI1PK": {"S": f"{ACCOUNT}#{REGION}#{INSTANCE}"},
        "GSI1SK": {"S": f"{opened}#{CASE_ID}"},
        "GSI2PK": {"S": "STATUS#OPEN"},
        "GSI2SK": {"S": f"{opened}#{CASE_ID}"},
    }
