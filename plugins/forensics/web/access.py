"""Who may see cases: whoever may read the runs of the case DAG. Closed when Airflow cannot be asked."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from fastapi import HTTPException, status

from forensics.case.addresses import CASE_DAG

Access = Callable[..., object]

log = structlog.get_logger(__name__)


def refuse_everyone() -> None:
    """Dependency for an Airflow whose sign-in cannot be used: nobody gets in."""
    raise HTTPException(
        status.HTTP_503_SERVICE_UNAVAILABLE,
        "Airflow's sign-in is not available to this plugin, so no case is shown. "
        "Check that the plugin fits this Airflow version (api-server log: 'forensics.web.access').",
    )


def airflow_access() -> Access:
    """Dependency that asks Airflow's auth manager: 401 without a session or token, 403 without the right."""
    try:
        from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
        from airflow.api_fastapi.core_api.security import requires_access_dag
    except ImportError as error:
        log.exception("Airflow's sign-in cannot be imported; the case pages refuse everyone", error=str(error))
        return refuse_everyone
    return requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=CASE_DAG)
