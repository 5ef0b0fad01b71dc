"""How the tasks of every DAG that works on a case are retried, and when Airflow ends one that does not."""

from __future__ import annotations

from datetime import timedelta

# For one stay on a worker: what a task waits for, it waits for in the triggerer, which has time limits of its own.
STEP_TIME = timedelta(hours=2)
# Of steps that read all of a memory image or a disk, whatever its size (1 TiB at 50 MB/s takes 6 hours). A disk's digest
# continues where it was stopped.
READ_TIME = timedelta(hours=12)
DIGEST_TIME = timedelta(hours=24)

CASE_TASKS: dict[str, object] = {
    "owner": "forensics",
    "retries": 2,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=2),
    "execution_timeout": STEP_TIME,
}
