"""Where people find a case in Airflow's UI: its page, its run, the runs of its release.

``airflow`` is the UI's address without a closing slash: absolute, or the path below its host (empty at the root).
"""

from __future__ import annotations

import re
from urllib.parse import quote

PAGES_PATH = "/forensics"
BOARD_ROUTE = "forensic-cases"
CASE_DAG = "forensic_case"
RELEASE_DAG = "forensic_release"
EXPORT_DAG = "case_export"
PROFILE_DAG = "forensic_profile"
SWEEP_DAG = "forensic_sweep"
# A task of the case's DAG: ``memory.capture_memory``; parts of steps (``close:report``) are none.
TASK_FORM = re.compile(r"open_case|(?:triage|memory|disk|containment|investigation|report)\.[a-z_]{3,60}")


def board_view(airflow: str) -> str:
    """The board inside Airflow's UI, below its menu."""
    return f"{airflow}/plugin/{BOARD_ROUTE}"


def case_page(pages: str, case_id: str) -> str:
    """The page of a case; ``pages`` is the address of all case pages."""
    return f"{pages}/case/{quote(case_id, safe='')}"


def run_page(airflow: str, run_id: str) -> str:
    """The DAG run of a case."""
    return f"{airflow}/dags/{CASE_DAG}/runs/{quote(run_id, safe='')}"


def task_page(airflow: str, run_id: str, task_id: str) -> str:
    """A task of a case's run: its log, and where it is cleared."""
    return f"{run_page(airflow, run_id)}/tasks/{quote(task_id, safe='')}"


def question_page(airflow: str, *, dag_id: str, run_id: str, task_id: str) -> str:
    """Where a task's question is answered (Airflow's own link, ``HITLOperator.generate_link_to_ui``)."""
    return f"{airflow}/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/{quote(task_id, safe='')}/required_actions"


def release_runs(airflow: str, case_id: str) -> str:
    """The runs that release the case's target: those with the case's id in their configuration."""
    return f"{airflow}/dags/{RELEASE_DAG}/runs?conf_contains={quote(case_id, safe='')}"
