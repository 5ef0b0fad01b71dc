"""Runs inside an environment like MWAA's and prints as JSON what Airflow makes of the unpacked release. Started by mwaa_check."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any


def bag() -> Any:
    """Airflow's bag of DAGs; its home moved between 3.2 and 3.3."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]
    return DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"])


def unknown_options() -> list[str]:
    """Configuration options of the MWAA template that this Airflow does not have (it would ignore them without a word)."""
    from airflow.configuration import conf

    wanted = json.loads(os.environ["CHECK_OPTIONS"])
    return [
        f"{s}.{o}" for s, o in (name.split(".", 1) for name in wanted) if s != "forensics" and not conf.has_option(s, o)
    ]


def plugins() -> list[str]:
    """Names of loaded plugins; one that cannot be loaded ends the check."""
    from airflow import plugins_manager

    found, errors = plugins_manager._get_plugins()
    if errors:
        raise SystemExit(f"plugins that Airflow cannot load: {errors}")
    return [str(plugin.name) for plugin in found]


def auth_manager() -> str:
    """Class of the auth manager that the API server would use."""
    from airflow.configuration import conf

    return str(conf.getimport("core", "auth_manager").__name__)


def main() -> int:
    """Print the findings as one JSON line."""
    found = bag()
    import forensics

    print(
        json.dumps(
            {
                "python": sys.version.split()[0],
                "airflow": metadata.version("apache-airflow"),
                "dags": sorted(found.dags),
                "errors": {Path(k).name: v for k, v in found.import_errors.items()},
                "product": str(Path(str(forensics.__path__[0])).resolve()),
                "plugins": plugins(),
                "auth_manager": auth_manager(),
                "unknown_options": unknown_options(),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
