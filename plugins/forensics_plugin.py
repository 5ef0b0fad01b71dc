"""Airflow plugin: the case pages in Airflow's UI and a tab on every DAG run."""

from __future__ import annotations

import sys

from airflow.plugins_manager import AirflowPlugin

from forensics.case.addresses import BOARD_ROUTE
from forensics.web.mount import URL_PREFIX, LazyApp, airflow_path

_BASE = f"{airflow_path()}{URL_PREFIX}"

# Processes that fork a child for every task: what they have imported, no task has to import again (0.3 to 0.5 s each).
# Needs `[core] lazy_load_plugins = False`; otherwise this file is read too late and costs and gains nothing.
_FORKING = frozenset({"scheduler", "worker"})


def _preload() -> None:
    if _FORKING.isdisjoint(sys.argv[1:3]):
        return
    import forensics.flows  # noqa: F401
    from forensics.aws.session import preload_models
    from forensics.triage.policy import packaged

    preload_models()
    packaged()


_preload()


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
            "url_route": BOARD_ROUTE,
        },
        {
            "name": "Case",
            "href": f"{_BASE}/run?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "forensic-case",
        },
    ]
