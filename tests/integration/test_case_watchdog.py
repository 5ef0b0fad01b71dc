"""Cases that lose their run, against the lab: started again from where they are, and given up with their instance free."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forensics.aws.hook import ForensicsHook
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.intake.dag_run import RunState
from forensics.intake.lost_runs import CaseRuns, LostRuns
from forensics.intake.messages import RunOrder
from forensics.intake.operators import OpenCaseOperator
from forensics.models.case import CaseStatus
from forensics.models.custody import CustodyAction
from tests.gateways import case_store, recorder_of, write_back
from tests.integration.conftest import SmallLab
from tests.integration.steps import perform
from tests.integration.test_case_steps import open_case, triage
from tests.integration.test_write_back import imported

HOUR = timedelta(hours=1)


class Airflow:
    """Runs that exist: all are dead at the next look."""

    def __init__(self) -> None:
        self.started: list[RunOrder] = []

    def state(self, run_id: str) -> RunState:
        return RunState.ENDED if run_id in {order.run_id for order in self.started} else RunState.MISSING

    def start(self, order: RunOrder) -> bool:
        self.started.append(order)
        return True

    def look(self, after: timedelta) -> list[str]:
        settings = ForensicsHook().settings
        runs = CaseRuns("forensic_case", self.state, self.start, lambda _: {})
        lost = LostRuns(
            case_store(),
            runs,
            recorder=lambda case_id: recorder_of(case_id, step="watchdog"),
            write_back=write_back,
            settings=settings,
        )
        done, failed = lost.look(datetime.now(UTC) + after)
        assert failed == []
        return done


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


def snapshots(lab: SmallLab, case_id: str) -> set[str]:
    marks = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    found = lab.client("ec2", "member").describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"]
    return {s["SnapshotId"] for s in found}


def events(lab: SmallLab) -> list[Any]:
    return [m["attributes"]["event"] for m in lab.mail()]


def test_a_case_whose_run_was_deleted_continues_where_it_was(lab: SmallLab, airflow: Airflow) -> None:
    case_id = open_case(lab)
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    before = snapshots(lab, case_id)
    assert before and airflow.look(timedelta()) == []
    assert len(airflow.look(HOUR)) == 1
    (order,) = airflow.started
    assert "run_deleted:1" in events(lab)
    # what the new run does
    assert perform(OpenCaseOperator(task_id="open_case"), params=order.conf, run_id=order.run_id) == case_id
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot_volumes"), case_id=case_id)
    assert snapshots(lab, case_id) == before, "nothing is acquired twice"
    recorder = recorder_of(case_id)
    assert recorder.case.run_id == order.run_id and recorder.case.status is CaseStatus.OPEN
    actions = [event.action for event in recorder.gateways.ledger.events(case_id)]
    assert actions.count(CustodyAction.CASE_RESUMED) == 1 and actions.count(CustodyAction.CASE_OPENED) == 1


def test_a_case_that_dies_each_time_is_given_up_and_the_next_request_opens_its_own(
    lab: SmallLab, airflow: Airflow
) -> None:
    case_id = open_case(lab)
    for hour in range(1, 5):
        airflow.look(hour * HOUR)
    assert [order.run_id for order in airflow.started] == [f"{case_id}-again-{n}" for n in (1, 2)]
    assert case_store().case(case_id).status is CaseStatus.FAILED
    assert events(lab)[-1].startswith("case_given_up")
    assert airflow.look(5 * HOUR) == []
    instance = lab.facts["instances"]["web-server"]
    place = {"account_id": instance["account"], "region": instance["region"], "instance_id": instance["instance_id"]}
    other = perform(
        OpenCaseOperator(task_id="open_case"),
        params={"actions": "by-policy", "reason": "again", **place},
        run_id="manual__2",
    )
    assert other != case_id and case_store().case(other).status is CaseStatus.OPEN
    # a person who has removed the cause continues the old one; the instance stays the new one's
    again = {"case_id": case_id, **place}
    assert perform(OpenCaseOperator(task_id="open_case"), params=again, run_id="manual__3") == case_id
    assert case_store().case(case_id).status is CaseStatus.OPEN


def test_the_finding_of_a_case_that_is_given_up_shows_it_and_stays_open(lab: SmallLab, airflow: Airflow) -> None:
    """Security Hub's own record: the workflow of a finding that nobody investigates any more is not RESOLVED."""
    opened, record = imported(lab)
    opened.annotate()
    assert "is being investigated" in record()["Note"]["Text"]
    for hour in range(1, 5):
        airflow.look(hour * HOUR)
    assert case_store().case(opened.case.case_id).status is CaseStatus.FAILED
    shown = record()
    assert "given up" in shown["Note"]["Text"] and opened.case.case_id in shown["Note"]["Text"]
    assert shown["Workflow"]["Status"] == "NOTIFIED"
