"""``make mwaa-check MOVE=1``: a case is open while Airflow is replaced by a newer one on the same database.

It begins under the older Airflow and must end under the newer. What MWAA does in between (user guide, "Changing Apache Airflow versions") is
done here by what Airflow has for it, ``airflow db migrate``; tasks that run are killed, waits lie in the database. The way back is not
played: it is no way (docs/upgrade.md).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from forensics.models.case import CaseStatus, Milestone
from lab.progress import StandstillError, wait_until
from lab.scenarios.demo import LATENCIES, TITLE, check, say
from lab.scenarios.driver import DriverError, Lab, finding
from lab.stack import postgres
from lab.stack.airflow import Installed
from lab.stack.process import StackError
from lab.stack.stack import Stack

# Something of a case has to wait in the database when Airflow is stopped: slow enough to be met.
SLOW = {**LATENCIES, "snapshot_seconds": 20.0, "copy_seconds": 20.0}


def waits(lab: Lab, run_id: str) -> list[str]:
    """The run's tasks that wait in Airflow's database."""
    return sorted(name for name, task in lab.tasks(run_id).items() if task["state"] == "deferred")


def begun(lab: Lab, name: str) -> str:
    """A finding about a target; its case, as soon as two of its steps wait and none has ended that the rest needs."""
    lab.wait_intake()
    target = lab.instance(name)
    lab.import_finding(finding(target, title=TITLE))
    case_id = lab.wait_case(target["instance_id"]).case_id
    wait_until(
        lambda: len(waits(lab, case_id)) >= 2,
        what=f"two steps of {case_id} to wait",
        progress=lambda: lab.progress(case_id),
    )
    return case_id


def ended(lab: Lab, case_id: str) -> list[str]:
    """Follow the run to its end; what is wrong with how it ended."""
    state = lab.finish(case_id, report=say)
    view = lab.view(case_id)
    wrong = [] if state == "success" else [f"run {case_id} ended {state}"]
    if view.case.status is not CaseStatus.CLOSED:
        wrong.append(f"case {case_id} is {view.case.status.value}")
    if Milestone.REPORTED.value not in view.milestones:
        wrong.append(f"case {case_id} has no report")
    return wrong


def move(lab: Lab, new: Installed) -> list[str]:
    """Begin a case, change Airflow, follow the case; what is wrong."""
    case_id = begun(lab, "web-server")
    say(f"\n== {case_id}: {', '.join(waits(lab, case_id))} wait. Airflow is replaced by the newer one")
    lab.stack.change_airflow(new)
    return [*ended(lab, case_id), *check(lab, case_id)]


def installed(text: str) -> Installed:
    """From JSON: python, dags, plugins."""
    given: dict[str, Any] = json.loads(text)
    return Installed(given["python"], Path(given["dags"]), Path(given["plugins"]))


def main() -> int:
    """Exit status 0 only when the case ended as it should."""
    parser = argparse.ArgumentParser(prog="python -m lab.scenarios.airflow_move", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state directory")
    parser.add_argument(
        "--old", type=installed, required=True, help="JSON with python, dags, plugins of the older Airflow"
    )
    parser.add_argument("--new", type=installed, required=True, help="the same of the newer one")
    given = parser.parse_args()
    began = time.monotonic()
    try:
        with (
            postgres.database("postgres") as (_, url),
            Stack(
                given.state, latencies=SLOW, database=url, executor="celery", installed=given.old, report=say
            ) as stack,
        ):
            wrong = move(Lab(stack), given.new)
    except (StackError, DriverError, StandstillError) as error:
        say(f"\nThe move failed: {error}")
        return 1
    for item in wrong:
        say(f"  - {item}")
    say(f"== {time.monotonic() - began:.0f} s; {len(wrong)} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
