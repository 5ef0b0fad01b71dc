"""Kills a task's process in the middle of its work, as a lost worker would."""

from __future__ import annotations

import os
import signal

from lab.progress import wait_until
from lab.scenarios.driver import Lab, has_ended


def kill_while_snapshotting(lab: Lab, run_id: str) -> None:
    """Wait until the run's snapshots exist while their task is still running, then SIGKILL the task's process."""

    def pid() -> int | None:
        task = lab.tasks(run_id).get("disk.snapshot_volumes", {})
        if task.get("state") in {"deferred", "success", "failed"}:
            raise AssertionError(f"the task was {task['state']} before it could be killed")
        running = task.get("state") == "running" and task.get("pid") and _snapshots(lab, run_id)
        return int(task["pid"]) if running else None

    found = wait_until(
        pid,
        what=f"the snapshots of run {run_id}",
        progress=lambda: lab.progress(run_id),
        finished=has_ended,
        pause=0.05,
    )
    os.kill(int(found or 0), signal.SIGKILL)


def _snapshots(lab: Lab, run_id: str) -> bool:
    cases, _ = lab.store().list_cases(limit=50)
    case = next((c for c in cases if c.run_id == run_id), None)
    if case is None:
        return False
    marks = [{"Name": "tag:forensics:case", "Values": [case.case_id]}]
    return bool(lab.member.client("ec2").describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"])
