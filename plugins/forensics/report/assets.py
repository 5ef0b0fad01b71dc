"""What other DAGs can wait for."""

from __future__ import annotations

from airflow.sdk import Asset

# The report of a case whose steps have ended; each event's ``extra`` has ``case_id`` and ``report`` (S3 URI of the HTML).
CASE_REPORT = Asset(name="forensics_case_report")
