"""Steps of a case by the code of another release, in a lab that is there: run in that release's tree by ``hand_over.py``.

Standard input: ``{"case_id": "" | "fc-…", "params": {…}, "run_id": "…", "steps": ["task id", …], "until_it_waits": "task id" | null}``. The
last line of standard output: ``{"case_id": "…", "wait": null | {"task", "path", "arguments", "method", "kwargs"}}``, a wait as
Airflow's database has it between two workers.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from airflow.sdk.exceptions import TaskDeferred

from forensics.intake.operators import OpenCaseOperator
from tests.iam.flow import CASE
from tests.integration.steps import DagRun, TaskInstance, perform


def waits(task: str, case_id: str) -> dict[str, Any]:
    """Execute a step until it waits."""
    step = dict(CASE)[task](task_id=task)
    step.case_id = case_id
    context = {"ti": TaskInstance(task), "params": {}, "dag_run": DagRun("manual__test")}
    step.render_template_fields(context)
    try:
        step.execute(context)
    except TaskDeferred as deferral:
        path, arguments = deferral.trigger.serialize()
        wait = {
            "task": task,
            "path": path,
            "arguments": arguments,
            "method": deferral.method_name,
            "kwargs": deferral.kwargs,
        }
        found: dict[str, Any] = json.loads(json.dumps(wait))
        return found
    raise AssertionError(f"{task} did not wait")


def main() -> None:
    """Do the job."""
    job = json.load(sys.stdin)
    case_id = job["case_id"] or str(
        perform(OpenCaseOperator(task_id="open_case"), params=job["params"], run_id=job["run_id"], user="alice")
    )
    # steps that only the other release has are left to it: MWAA's runs follow the DAG as it is now
    done = [task for task in job["steps"] if task in dict(CASE)]
    for task in done:
        perform(dict(CASE)[task](task_id=task), case_id=case_id)
    wait = waits(job["until_it_waits"], case_id) if job["until_it_waits"] else None
    print("\n" + json.dumps({"case_id": case_id, "wait": wait, "done": done}))


if __name__ == "__main__":
    main()
