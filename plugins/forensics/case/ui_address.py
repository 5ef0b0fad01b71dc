"""Where this deployment's Airflow UI is."""

from __future__ import annotations

from urllib.parse import urlsplit

from forensics.errors import ConfigurationError
from forensics.settings import get_settings


def airflow_path() -> str:
    """Path of Airflow's UI from ``[api] base_url``, without a closing slash; empty at the root of a host."""
    # Imported on use: the plugin is loaded by every process.
    from airflow.configuration import conf

    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


def ui_address() -> str:
    """Address of Airflow's UI: the setting ``ui_url``, else its path on the host that serves it."""
    try:
        configured = get_settings().ui_url
    except ConfigurationError:
        # A process without the deployment's settings still knows where its own UI is.
        configured = ""
    return configured.rstrip("/") or airflow_path()
