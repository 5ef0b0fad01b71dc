"""What Amazon MWAA's image does with an environment, as far as the product meets it: packages, pip's constraints, Airflow's settings.

Source: the image's public code, aws/amazon-mwaa-docker-images, images/airflow/3.2.1 and 3.3.1 (read 2026-11-28, both alike in this):
``python/mwaa/config/airflow.py`` (settings), ``bin/airflow-user/safe-pip-install`` and ``python/mwaa/utils/user_requirements.py``
(installation), ``BillOfMaterials`` (packages). What these say is kept as facts in ``requirements/mwaa-<version>.image`` and ``.essential``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.deployment import templates

REQUIREMENTS = templates.ROOT / "requirements"
DEFAULT: Final = "3.3.1"
# MWAA's defaults: an option of the environment wins.
OPEN: Final[dict[str, str]] = {
    # read by no code of Airflow 3: Celery's workers run a task in a forked supervisor
    "AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER": "True",
    "AIRFLOW__CORE__SENSITIVE_VAR_CONN_NAMES": "proxy,proxies",
    "AIRFLOW__API__SERVER_TYPE": "gunicorn",
    "AIRFLOW__API__WORKER_REFRESH_INTERVAL": "43200",
    "AIRFLOW__API__WORKER_REFRESH_BATCH_SIZE": "1",
    "AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION": "False",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "1800.0",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
}
# MWAA's own: these win over every option.
FORCED: Final[dict[str, str]] = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__MULTI_TEAM": "False",
    "AIRFLOW__CORE__AUTH_MANAGER": "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager",
    "AIRFLOW__CELERY__WORKER_ENABLE_REMOTE_CONTROL": "False",
    "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True",
    "AIRFLOW__EXECUTION_API__JWT_EXPIRATION_TIME": "86400",
    "AIRFLOW__TRIGGERER__QUEUES_ENABLED": "False",
}
# A message that a worker has taken is given out again after this time (seconds), as MWAA's broker does.
BROKER_VISIBILITY: Final = 43_200
# Tasks at once of one worker of mw1.small (Amazon MWAA user guide, "Environment class"); the scheduler's container has the one triggerer.
TASKS_PER_WORKER: Final = 5
# In our locks and not in the bill of materials: it does not name them, or they are for newer Pythons.
NOT_LISTED: Final = frozenset({"pyyaml-ft", "setuptools", "wcwidth"})
# In the image and not in our locks: built from source there; psycopg2-binary, which is in both, is the same module.
NOT_LOCKED: Final = frozenset({"psycopg2"})


def options() -> dict[str, str]:
    """The configuration options of the MWAA template; intrinsic functions as JSON."""
    resource = templates.load(templates.FOLDER / "mwaa.yaml")["Resources"]["Environment"]["Properties"]
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in resource["AirflowConfigurationOptions"].items()
    }


def airflow_options() -> dict[str, str]:
    """The template's options of Airflow itself as environment variables.

    The product's own (``[forensics]``) are left out, and those that only some deployments have.
    """
    return {
        variable(name): value
        for name, value in options().items()
        if not name.startswith("forensics.") and not value.startswith("{")
    }


def variable(option: str) -> str:
    """The environment variable of ``section.option``."""
    section, name = option.split(".", 1)
    return f"AIRFLOW__{section}__{name}".upper()


def settings(given: Mapping[str, str]) -> dict[str, str]:
    """Airflow's environment as the image puts it together: its defaults, then the environment's options, then its own."""
    return {**OPEN, **given, **FORCED}


def pinned(file: Path) -> dict[str, str]:
    """Package (normalised name) → version of a file with ``name==version`` lines."""
    found = re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;]+)", file.read_text("utf-8"), re.M)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def essential_constraints(version: str) -> Path:
    """The file that pip gets as ``--constraint`` for requirements.txt."""
    return REQUIREMENTS / f"mwaa-{version}.essential"


def differences(version: str) -> list[str]:
    """How our lock of an image differs from the image's published packages; empty when not at all."""
    image, lock = pinned(REQUIREMENTS / f"mwaa-{version}.image"), pinned(REQUIREMENTS / f"mwaa-{version}.lock")
    wrong = [
        f"{n}: the image has {image[n]}, the lock {lock[n]}"
        for n in sorted(set(image) & set(lock))
        if image[n] != lock[n]
    ]
    wrong += [f"{n}: in the image, not in the lock" for n in sorted(set(image) - set(lock) - NOT_LOCKED)]
    return wrong + [f"{n}: in the lock, not in the image" for n in sorted(set(lock) - set(image) - NOT_LISTED)]
