"""Addresses of a case in Airflow's UI."""

from __future__ import annotations

from forensics.case.addresses import case_page, release_runs, run_page


def test_ids_are_quoted_whatever_they_hold() -> None:
    assert case_page("https://x/forensics", "fc-1/?") == "https://x/forensics/case/fc-1%2F%3F"
    assert run_page("", "manual__2026-11-24T08:00:00+00:00") == (
        "/dags/forensic_case/runs/manual__2026-11-24T08%3A00%3A00%2B00%3A00"
    )
    assert release_runs("/airflow", "fc-1") == "/airflow/dags/forensic_release/runs?conf_contains=fc-1"
