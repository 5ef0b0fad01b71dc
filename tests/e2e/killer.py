"""Kills a task's process in the middle of its work, as a lost worker would."""

from __future__ import annotations

import os
import signal
import time

from lab.scenarios.driver import Lab


def kill_while_snapshotting(lab: Lab, run_id: str, *, seconds: float = 120) -> None:
    """Wait until the run's snapshots exist while their task is still running, then SIGKILL the task's process."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        task = lab.tasks(run_id).get("disk.snapshot_volumes", {})
        if task.get("state") == "running" and task.get("pid") and _snapshots(lab, run_id):
            os.kill(int(task["pid"]), signal.SIGKILL)
            return
        if task.get("state") in {"deferred", "success", "failed"}:
            raise AssertionError(f"the task was {task['state']} before it could be killed")
        time.sleep(0.05)
    raise AssertionError(f"run {run_id} did not come to its snapshots in {seconds:.0f} s: {lab.tasks(run_id)}")


def _snapshots(lab: Lab, run_id: str) -> bool:
    cases, _ = lab.store().list_cases(limit=50)
    case = next((c for c in cases if c.run_id == run_id), None)
    if case is None:
        return False
    marks = [{"Name": "tag:forensics:case", "Values": [case.case_id]}]
    return bool(lab.member.client("ec2").describe_snapshots(OwnerIds=["self"], Filters=marks)["Snapshots"])
