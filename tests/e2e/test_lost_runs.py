"""Runs of open cases that are lost on a live Airflow: deleted by a person, or dead and marked as failed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from forensics.models.case import CaseStatus
from forensics.models.custody import CustodyAction
from lab.progress import wait_until
from lab.scenarios.driver import Lab, has_ended
from lab.scenarios.targets import add_target
from tests.e2e.conftest import LIMIT_SECONDS
from tests.e2e.killer import kill_while_snapshotting

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(LIMIT_SECONDS)]
DELETED, DEAD = "manual__deleted", "manual__dead"


def start(lab: Lab, run_id: str) -> dict[str, Any]:
    """A case by hand on a target of its own; disks only, so that it has something that must not be made twice."""
    target = add_target(lab, run_id, managed=False)
    place = {"account_id": target["account"], "region": target["region"], "instance_id": target["instance_id"]}
    lab.trigger({**place, "actions": "disk", "reason": "a run that is lost", "requester": "e2e"}, run_id=run_id)
    return target


def snapshots(lab: Lab, case_id: str) -> set[str]:
    marks = [{"Name": "tag:forensics:case", "Values": [case_id]}]
    found = lab.member.client("ec2").describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"]
    return {s["SnapshotId"] for s in found}


def lose(lab: Lab, run_id: str) -> None:
    """The process of a task is killed while it works; then a person marks the run as failed, and may delete it as well.

    A running run cannot be deleted (Airflow's REST API answers 409), and one that is marked runs until its teardown has ended. Its
    state says nothing then: the leaf that counts was left out, and with a teardown that succeeded the run may be green.
    """
    kill_while_snapshotting(lab, run_id)
    lab.stack.api.patch(f"dags/forensic_case/dagRuns/{run_id}", {"state": "failed"})
    lab.finish(run_id)
    if run_id == DEAD:
        return
    url = f"{lab.stack.api_url}/api/v2/dags/forensic_case/dagRuns/{run_id}"
    headers = {"Authorization": f"Bearer {lab.stack.token()}"}
    requests.delete(url, headers=headers, timeout=60).raise_for_status()


def watch(lab: Lab, number: int) -> str:
    """One run of the watchdog, as its schedule makes them; how its step ended."""
    run_id = f"manual__watch-{number}"
    lab.stack.api.post("dags/case_watchdog/dagRuns", {"dag_run_id": run_id, "logical_date": None})
    return lab.wait_task("case_watchdog", run_id, "resume_cases", "success", "failed", "upstream_failed")


def test_a_case_whose_run_is_lost_is_told_and_ends_in_another_run(lab: Lab) -> None:
    lab.control("faults", [{"service": "ec2", "action": "LockSnapshot", "match": "", "latency": 0.7}])
    targets = {run_id: start(lab, run_id) for run_id in (DELETED, DEAD)}
    for run_id in targets:
        lose(lab, run_id)
    lab.control("faults", [])
    cases = {run_id: lab.wait_case(target["instance_id"]).case_id for run_id, target in targets.items()}
    before = {run_id: snapshots(lab, case_id) for run_id, case_id in cases.items()}
    assert all(before.values())
    assert watch(lab, 1) == "success"
    assert not [m for m in lab.mail() if m["attributes"]["event"].startswith("run_")], "young cases are left alone"
    for case_id in cases.values():
        # as old as a case that is looked at: nobody waits here for ten minutes
        lab.store().update_case(case_id, opened_at=datetime.now(UTC) - timedelta(minutes=11))
    assert watch(lab, 2) == "success"
    for run_id, case_id in cases.items():
        again = f"{case_id}-again-1"
        wait_until(
            lambda again=again: again in {run["dag_run_id"] for run in lab.runs()},  # type: ignore[misc]
            what=f"run {again} to begin",
            progress=lab.progress,
            finished=has_ended,
        )
        assert lab.finish(again) == "success"
        view = lab.view(case_id)
        assert view.case.status is CaseStatus.CLOSED and view.case.run_id == again
        actions = [event.action for event in view.custody]
        assert actions.count(CustodyAction.CASE_RESUMED) == 1 and actions.count(CustodyAction.CASE_OPENED) == 1
        assert snapshots(lab, case_id) == before[run_id], "it went on from where it was"
        events = [m["attributes"]["event"] for m in lab.mail() if m["attributes"].get("case_id") == case_id]
        told = {DELETED: "run_deleted:1", DEAD: "run_ended:1"}[run_id]
        assert [event for event in events if event.startswith("run_")] == [told]
