"""How the tasks of every DAG that works on a case are retried."""

from __future__ import annotations

from datetime import timedelta

CASE_TASKS: dict[str, object] = {
    "owner": "forensics",
    "retries": 2,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=2),
}
