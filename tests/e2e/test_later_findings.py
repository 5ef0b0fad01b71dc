"""What happens to a case after it was opened, on the real scheduler: its plan grows, and a person orders the release."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from forensics.containment.release_operators import RELEASE
from forensics.models.case import CaseView
from forensics.models.custody import CustodyAction
from lab.progress import wait_until
from lab.scenarios.driver import Lab, finding
from lab.scenarios.finding_events import asff
from lab.stack import airflow
from lab.stack.health import AirflowApi
from tests.e2e.conftest import LIMIT_SECONDS, Started
from tests.e2e.test_case import isolated, view_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(LIMIT_SECONDS)]


def runs_of(lab: Lab, dag_id: str, view: CaseView) -> list[dict[str, Any]]:
    """Runs of a DAG for a case."""
    found = lab.stack.api.get(f"dags/{dag_id}/dagRuns", limit=100)["dag_runs"]
    return [run for run in found if run["conf"].get("case_id") == view.case.case_id]


def answer(lab: Lab, run_id: str, choice: str, *, user: str) -> None:
    """Answer the question of ``plan_release`` as a person does in the UI."""
    token = AirflowApi(url=lab.stack.api_url, user=user, password=lab.stack.password).token()
    url = f"{lab.stack.api_url}/api/v2/dags/forensic_release/dagRuns/{run_id}/taskInstances/plan_release/-1/hitlDetails"
    headers = {"Authorization": f"Bearer {token}"}
    requests.patch(url, json={"chosen_options": [choice]}, headers=headers, timeout=60).raise_for_status()


def asked(lab: Lab, run_id: str) -> None:
    """Wait until the question is open and a person could have read it.

    Airflow's scheduler takes an answer of the first moment, before it has seen that the asking process ended, for a task that was
    lost ("finished with state success, but the task instance's state attribute is queued"): the question is asked again.
    """
    lab.wait_task("forensic_release", run_id, "plan_release", "deferred", "awaiting_input")
    seen = datetime.now(UTC).isoformat()
    wait_until(
        lambda: lab.stack.api.get("monitor/health")["scheduler"]["latest_scheduler_heartbeat"] > seen,
        what="the scheduler to have seen the question",
        progress=lab.progress,
    )


def answered_again(lab: Lab, run_id: str, choice: str, *, user: str) -> None:
    """Answer once Airflow has taken the answer before off the question, which is open again."""
    url = f"dags/forensic_release/dagRuns/{run_id}/taskInstances/plan_release/-1/hitlDetails"
    wait_until(
        lambda: not lab.stack.api.get(url)["response_received"],
        what="the question to be open again",
        progress=lab.progress,
    )
    asked(lab, run_id)
    answer(lab, run_id, choice, user=user)


def test_a_more_severe_finding_lets_the_open_case_isolate(lab: Lab, cases: dict[str, Started]) -> None:
    raised = cases["raised"]
    view = view_of(lab, raised)
    assert [f.severity.value for f in sorted(view.findings, key=lambda f: f.severity.rank)] == ["MEDIUM", "CRITICAL"]
    assert view.plan is not None and view.plan.isolate.go
    (run,) = runs_of(lab, "forensic_extension", view)
    assert lab.wait_task("forensic_extension", run["dag_run_id"], "extend_plan", "success", "failed") == "success"
    lab.wait_task("forensic_extension", run["dag_run_id"], "isolate_target", "success", "skipped", "failed")
    assert isolated(lab, raised), "the plan grew while the case was open"


def test_a_custom_action_releases_the_target_after_two_people_said_yes(lab: Lab, cases: dict[str, Started]) -> None:
    item = cases["raised"]
    assert isolated(lab, item)
    event = asff(finding(item.instance, title="It was us"))
    event |= {"detail-type": "Security Hub Findings - Custom Action"}
    event["detail"] |= {"actionName": "ForensicRelease", "actionDescription": "release"}
    lab.forensic.client("sqs").send_message(QueueUrl=lab.facts["queue_url"], MessageBody=json.dumps(event))
    view = view_of(lab, item)
    runs = wait_until(
        lambda: runs_of(lab, "forensic_release", view), what="the order to start a release", progress=lab.progress
    )
    run_id = runs[0]["dag_run_id"]
    asked(lab, run_id)
    assert isolated(lab, item), "nothing is released before a person has answered"
    answer(lab, run_id, RELEASE, user=airflow.USER)
    # nobody is known to have pressed it: the first yes leaves the question open, and the same person's second as well
    answered_again(lab, run_id, RELEASE, user=airflow.USER)
    assert isolated(lab, item), "one person alone releases nothing"
    answered_again(lab, run_id, RELEASE, user=airflow.APPROVER)
    assert lab.wait_task("forensic_release", run_id, "release_target", "success", "failed", "skipped") == "success"
    assert not isolated(lab, item)
    actions = [event.action for event in view_of(lab, item).custody]
    assert actions.index(CustodyAction.RELEASE_APPROVED) < actions.index(CustodyAction.TARGET_RELEASED)
