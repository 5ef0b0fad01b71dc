"""Airflow plugin: the case pages in Airflow's UI and a tab on every DAG run."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from forensics.web.mount import URL_PREFIX, LazyApp, airflow_path

_BASE = f"{airflow_path()}{URL_PREFIX}"


class ForensicsPlugin(AirflowPlugin):
    """Case board in the navigation, the case of a run as a tab on the run."""

    name = "forensics"
    fastapi_apps = [{"app": LazyApp(), "url_prefix": URL_PREFIX, "name": "Forensic cases"}]
    external_views = [
        {
            "name": "Forensic cases",
            "href": f"{_BASE}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "forensic-cases",
        },
        {
            "name": "Case",
            "href": f"{_BASE}/run?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "forensic-case",
        },
    ]
