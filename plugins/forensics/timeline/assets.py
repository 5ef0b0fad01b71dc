"""What other DAGs can wait for."""

from __future__ import annotations

from airflow.sdk import Asset

# The stored timeline of a case; each event's ``extra`` has ``case_id`` and ``version``.
CASE_TIMELINE = Asset(name="forensics_case_timeline")
