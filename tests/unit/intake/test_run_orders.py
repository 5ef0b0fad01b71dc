"""Which runs a finding needs, under which ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from forensics.errors import FindingError
from forensics.intake.run_orders import TriggeredDags, case_orders, release_order
from forensics.models.finding import PERSONS_RANK, CustomAction, Severity
from tests.unit.builders import ACCOUNT, CASE_ID, INSTANCE, REGION, case, finding

DAGS = TriggeredDags(extension="forensic_extension", release="forensic_release")
AT = datetime(2026, 11, 24, 3, 0, 10, tzinfo=UTC)
RELEASE = finding(action=CustomAction.RELEASE, title="C2 traffic")


def test_the_case_has_one_run_that_names_its_instance() -> None:
    (order,) = case_orders(DAGS, case(), finding(), wants_more=False)
    assert (order.dag_id, order.run_id, order.rank) == ("forensic_case", CASE_ID, Severity.HIGH.rank)
    assert order.conf == {"case_id": CASE_ID, "account_id": ACCOUNT, "region": REGION, "instance_id": INSTANCE}
    assert order.note == f"finding_intake: HIGH, guardduty, {INSTANCE}: C2 traffic"


def test_the_run_that_a_person_started_keeps_its_id() -> None:
    (order,) = case_orders(DAGS, case(run_id="manual__1"), finding(), wants_more=False)
    assert order.run_id == "manual__1"


def test_a_plan_is_extended_once_for_each_finding_and_severity() -> None:
    items = [finding(key="a" * 32), finding(key="b" * 32), finding(key="a" * 32, severity=Severity.LOW)]
    orders = [case_orders(DAGS, case(), item, wants_more=True)[1] for item in items]
    assert [o.run_id for o in orders] == [
        f"{CASE_ID}-{'a' * 12}-high",
        f"{CASE_ID}-{'b' * 12}-high",
        f"{CASE_ID}-{'a' * 12}-low",
    ]
    assert orders[0].dag_id == "forensic_extension" and orders[0].conf == {"case_id": CASE_ID}


def test_without_the_dag_nothing_is_extended() -> None:
    assert len(case_orders(TriggeredDags(), case(), finding(), wants_more=True)) == 1


def test_a_release_is_one_run_a_minute_and_comes_first() -> None:
    orders = [
        release_order("forensic_release", RELEASE, case=case(), received_at=AT + timedelta(seconds=seconds))
        for seconds in (0, 30, 60)
    ]
    assert [o.run_id for o in orders] == [f"{CASE_ID}-release-20261124T{m}Z" for m in ("0300", "0300", "0301")]
    assert orders[0].rank == PERSONS_RANK > Severity.CRITICAL.rank
    assert orders[0].conf == {
        "case_id": CASE_ID,
        "requester": "custom action ForensicRelease",
        "reason": "ordered on the finding C2 traffic",
        "ordered_by": "custom action ForensicRelease",
    }


def test_a_release_without_a_contained_target_says_so() -> None:
    with pytest.raises(FindingError, match=f"no case has contained {INSTANCE} in account {ACCOUNT}, {REGION}"):
        release_order("forensic_release", RELEASE, case=None, received_at=AT)
