"""How the tasks of every DAG that works on a case are retried, when Airflow ends one that does not, and when drills begin."""

from __future__ import annotations

import os
from datetime import timedelta

from forensics.settings import PREFIX, Settings

# For one stay on a worker: what a task waits for, it waits for in the triggerer, which has time limits of its own.
STEP_TIME = timedelta(hours=2)
# Of steps that read all of a memory image or a disk, whatever its size (1 TiB at 50 MB/s takes 6 hours). A disk's digest
# continues where it was stopped.
READ_TIME = timedelta(hours=12)
DIGEST_TIME = timedelta(hours=24)
# Tasks of forensic_case that may be at work longer than STEP_TIME; all others have that.
LONG_TASKS = {"memory.verify_memory": READ_TIME, "disk.digest_disks": DIGEST_TIME}
# All attempts to capture a memory together, whatever its size; they are waited for in the triggerer.
CAPTURE_TIME = timedelta(hours=48)
# The protection of the target goes before its acquisition, which must not wait for it for long.
PROTECT_TIME = timedelta(minutes=3)

CASE_TASKS: dict[str, object] = {
    "owner": "forensics",
    "retries": 2,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=2),
    "execution_timeout": STEP_TIME,
}


def drill_schedule() -> str | None:
    """The schedule of drills for the DAG's file, which is read also where other settings are missing; None for never."""
    given = os.environ.get(f"{PREFIX}DRILL_SCHEDULE", "") or str(Settings.model_fields["drill_schedule"].default)
    return None if given == "never" else given


def pushes_configured() -> bool:
    """Whether cases are pushed anywhere, for the DAG's file."""
    return bool(os.environ.get(f"{PREFIX}PUSHES", "").strip())
