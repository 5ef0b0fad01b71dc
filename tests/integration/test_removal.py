"""Removal as the deployment guide has it (docs/deployment.md, "Removal"), played on the lab: holds are lifted by two people, retention
ends, and what nothing protects any more is deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import create_autospec

import pytest
from airflow.providers.standard.operators import hitl
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskAwaitingInput

from forensics.case.audit_operators import AuditCaseOperator
from forensics.case.retention_operators import KeepEvidenceOperator
from forensics.disk.snapshot_operators import SnapshotVolumesOperator
from forensics.models.case import CaseStatus
from forensics.models.custody import CustodyAction
from forensics.naming import case_prefix
from forensics.report.hold_operators import KEEP, LIFT, LiftHoldsOperator, PlanHoldLiftOperator
from forensics.settings import get_settings
from infra.deployment import removal
from tests.gateways import recorder_of
from tests.integration.conftest import SmallLab
from tests.integration.steps import DagRun, TaskInstance, perform
from tests.integration.test_case_steps import open_case, triage


@pytest.fixture
def closed(lab: SmallLab, monkeypatch: pytest.MonkeyPatch) -> str:
    """A closed case whose retention counts from its closing."""
    monkeypatch.setattr(hitl, "upsert_hitl_detail", create_autospec(hitl.upsert_hitl_detail))
    case_id = open_case(lab)
    triage(case_id)
    perform(SnapshotVolumesOperator(task_id="snapshot"), case_id=case_id)
    store = recorder_of(case_id, step="test").gateways.store
    store.update_case(case_id, status=CaseStatus.CLOSED, closed_at=datetime.now(UTC))
    perform(KeepEvidenceOperator(task_id="keep_evidence"), case_id=case_id)
    return case_id


class WithId(TaskInstance):
    """What Airflow's operator for people reads."""

    id = "00000000-0000-0000-0000-000000000000"


def in_run(step: Any, *, user: str | None = "alice", run_id: str = "manual__test") -> Any:
    """What Airflow hands to a step of a run that alice has started."""
    ti = WithId(step.task_id)
    return {"ti": ti, "task_instance": ti, "dag_run": DagRun(run_id, triggering_user_name=user)}


def answered(step: Any, *, option: str = LIFT, by: str = "bob", user: str | None = "alice") -> Any:
    """A person's answer."""
    who = {"id": by, "name": f"{by} by another name"}
    given = {"chosen_options": [option], "params_input": {}, "responded_by_user": who, "timedout": False}
    return step.execute_complete(in_run(step, user=user), given)


def ask(
    case_id: str, *, option: str = LIFT, by: str = "bob", requester: str = "alice", user: str | None = "alice"
) -> Any:
    """One person asks, another answers."""
    step = PlanHoldLiftOperator(
        task_id="plan_hold_lift", case_id=case_id, reason="matter 17 is over", requester=requester
    )
    with pytest.raises(TaskAwaitingInput):
        step.execute(in_run(step, user=user))
    return answered(step, option=option, by=by, user=user)


def lift(case_id: str) -> Any:
    return perform(LiftHoldsOperator(task_id="lift_holds"), case_id=case_id)


def look(lab: SmallLab, *, later: timedelta = timedelta(0), delete: bool = False) -> removal.Left:
    """The tool of the guide on the evidence bucket."""
    return removal.look(lab.client("s3"), lab.facts["evidence_bucket"], now=datetime.now(UTC) + later, delete=delete)


def test_two_people_lift_the_holds_retention_ends_and_everything_can_be_deleted(lab: SmallLab, closed: str) -> None:
    before = look(lab, delete=True)
    assert before.deleted == 0 and len(before.held) == before.versions > 0
    done = {**ask(closed), **lift(closed)}
    assert (done["requester"], done["approved_by"], done["objects"]) == (
        "alice",
        "bob by another name (user id bob)",
        before.versions,
    )
    events = recorder_of(closed, step="test").gateways.ledger.events(closed)
    (lifted,) = [e for e in events if e.action is CustodyAction.HOLDS_LIFTED]
    assert (
        lifted.detail["requester"] == "alice"
        and lifted.detail["by"] == done["approved_by"]
        and lifted.detail["failures"] == []
    )
    assert dict(perform(AuditCaseOperator(task_id="audit_case"), case_id=closed))["differences"] == [], "not an alarm"
    after = look(lab, delete=True)
    assert (after.held, after.deleted) == ([], 0) and len(after.locked) == after.versions == before.versions + 1
    assert after.until and after.until > datetime.now(UTC) + timedelta(days=364)
    # the day after the retention has ended
    retention = timedelta(days=get_settings().retention_days + 1)
    lab.control("clock", {"advance": retention.total_seconds()})
    end = look(lab, later=retention, delete=True)
    assert (end.deleted, end.held, end.locked, end.refused) == (after.versions, [], [], [])
    assert look(lab, later=retention).versions == 0
    snapshots = [d.origin.snapshot_id for d in recorder_of(closed, step="test").disks()]
    for snapshot in snapshots:
        lab.client("ec2", "member").delete_snapshot(SnapshotId=snapshot)


def test_nobody_alone_lifts_a_hold(lab: SmallLab, closed: str) -> None:
    with pytest.raises(TaskAwaitingInput):
        ask(closed, by="alice")
    with pytest.raises(AirflowFailException, match="is open in plan_hold_lift of run manual__test: answer it there"):
        lift(closed)
    with pytest.raises(AirflowSkipException, match="refused by bob"):
        ask(closed, option=KEEP)
    with pytest.raises(TaskAwaitingInput):
        ask(closed, user=None)
    assert look(lab).held
    with pytest.raises(AirflowFailException, match="a requester and a reason are needed"):
        ask(closed, requester=" ")
    assert look(lab).held


def test_an_open_case_and_objects_that_nobody_approved_stay_held(lab: SmallLab, closed: str) -> None:
    ask(closed)
    recorder = recorder_of(closed, step="test")
    recorder.gateways.evidence.put(f"{case_prefix(closed)}report/later.html", b"written after the approval")
    again = LiftHoldsOperator(task_id="lift_holds", case_id=closed)
    with pytest.raises(TaskAwaitingInput):
        again.execute(in_run(again))
    assert look(lab).held, "an object that nobody approved: asked again"
    recorder.gateways.store.update_case(closed, status=CaseStatus.OPEN)
    with pytest.raises(AirflowFailException, match="stays held"):
        lift(closed)
    with pytest.raises(AirflowFailException, match="the case is open"):
        ask(closed)


def test_an_answer_that_a_lost_try_got_is_not_asked_for_again(lab: SmallLab, closed: str) -> None:
    done = ask(closed)
    events = recorder_of(closed, step="test").gateways.ledger.events(closed)
    again = PlanHoldLiftOperator(
        task_id="plan_hold_lift", case_id=closed, reason="matter 17 is over", requester="alice"
    )
    assert again.execute(in_run(again)) == done, "the try that asked was answered, and died before Airflow knew"
    now = recorder_of(closed, step="test").gateways.ledger.events(closed)
    assert [e.action for e in now].count(CustodyAction.HOLD_LIFT_APPROVED) == 1 and len(now) == len(events)
    other = PlanHoldLiftOperator(
        task_id="plan_hold_lift", case_id=closed, reason="matter 18 is over", requester="alice"
    )
    with pytest.raises(TaskAwaitingInput):
        other.execute(in_run(other, run_id="manual__other"))
