"""The environment in which Airflow runs in the lab: settings, paths and secrets of one state directory.

``python -m lab.stack.airflow --state DIR`` writes the secrets as ``DIR/secrets.env`` (the compose file's services
read it).
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from infra.deployment import mwaa_image
from lab.accounts import FORENSIC_ACCOUNT, REGION, ROOT_SECRET, root_access_key
from lab.paths import ROOT, write_private

USER = "admin"
# Who asked for a release may not approve it: a second person of the lab, with the same password.
APPROVER = "approver"

# Where the lab differs from the template's options, and why: one machine with two cores runs all of Airflow, AWS and the instances, so
# that a living process may be silent for longer than MWAA's ever is.
ONE_MACHINE = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "45",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "90",
}
# The settings of every Airflow process of the lab, wherever it runs (this machine or compose): the options of the MWAA template (why these
# values: docs/configuration.md), and what MWAA brings itself or the lab alone needs.
SETTINGS = {
    **mwaa_image.airflow_options(),
    **ONE_MACHINE,
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__DEFAULT_TIMEZONE": "utc",
    "AIRFLOW__CORE__AUTH_MANAGER": ("airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"),
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin,{APPROVER}:admin",
    "AIRFLOW__API__EXPOSE_CONFIG": "False",
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__API__AUTO_REFRESH_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    # An edited file is parsed at its next refresh; unchanged ones cost the two cores nothing.
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
    "AWS_ACCESS_KEY_ID": root_access_key(FORENSIC_ACCOUNT),
    "AWS_SECRET_ACCESS_KEY": ROOT_SECRET,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    # Nothing of the person's own AWS set-up may leak into the lab, nor the lab's calls out to AWS.
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_CONFIG_FILE": os.devnull,
}

# airflow subcommands; each process writes its log to the common folder, so none needs its own log server
PROCESSES = {
    "api-server": ["api-server", "--workers", "1"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "dag-processor": ["dag-processor"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}


@dataclass(frozen=True)
class Installed:
    """An Airflow (its interpreter) and the release that it runs (folders of the DAGs and of the plugins)."""

    python: str
    dags: Path
    plugins: Path

    @classmethod
    def here(cls) -> Self:
        """This checkout under this interpreter, unless LAB_AIRFLOW_PYTHON, LAB_DAGS and LAB_PLUGINS name others (`make mwaa-check`)."""
        dags, plugins = (Path(os.environ.get(f"LAB_{name.upper()}") or ROOT / name) for name in ("dags", "plugins"))
        return cls(os.environ.get("LAB_AIRFLOW_PYTHON") or sys.executable, dags, plugins)

    def command(self, *arguments: str) -> list[str]:
        """Airflow's command line. -P: the directory it is started in (with the lab in it) stays off Airflow's path."""
        return [self.python, "-P", "-m", "airflow", *arguments]


def environment(
    state: Path,
    *,
    lab_endpoint: str,
    api_port: int,
    database: str | None = None,
    installed: Installed | None = None,
) -> dict[str, str]:
    """Return the variables for the Airflow processes of ``state``; they go on top of :func:`clean`.

    ``database`` is an SQLAlchemy URL; without it an SQLite file in ``state`` (Airflow puts it in WAL mode
    itself). ``installed`` is :meth:`Installed.here` when not given.
    """
    state = state.resolve()
    home = state / "airflow"
    home.mkdir(parents=True, exist_ok=True)
    made = load_secrets(state)
    base_url = f"http://127.0.0.1:{api_port}"
    installed = installed or Installed.here()
    plugins = str(installed.plugins)
    return {
        **SETTINGS,
        **secret_variables(made),
        "AIRFLOW_HOME": str(home),
        "PYTHONPATH": plugins,
        "AIRFLOW__CORE__DAGS_FOLDER": str(installed.dags.resolve()),
        "AIRFLOW__CORE__PLUGINS_FOLDER": plugins,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{base_url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(password_file(state, password=made["password"])),
        "AIRFLOW__API__BASE_URL": base_url,
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(api_port),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{home / 'airflow.db'}?timeout=30",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(state / "logs" / "tasks"),
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(state / "logs" / "dag_processor"),
        "AIRFLOW__FORENSICS__UI_URL": base_url,
        "AWS_ENDPOINT_URL": lab_endpoint,
    }


def clean(environ: dict[str, str]) -> dict[str, str]:
    """Return ``environ`` without anything that would change Airflow, Python or AWS without the lab's knowledge."""
    dropped = ("AIRFLOW", "AWS_", "PYTHON", "MOTO_", "FORENSICS_")
    kept = {k: v for k, v in environ.items() if not k.startswith(dropped) or k == "AWS_CA_BUNDLE"}
    # The lab is on this machine: a proxy for the outside must not see its traffic.
    local = "127.0.0.1,localhost"
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(filter(None, [kept.get(name, ""), local]))
    return kept


def load_secrets(state: Path) -> dict[str, str]:
    """Return the secrets of ``state``, made at the first call: password, jwt, api, fernet. The file is
    0600."""
    file = state / "secrets.json"
    if not file.exists():
        made = {
            "password": secrets.token_urlsafe(12),
            "jwt": secrets.token_hex(32),
            "api": secrets.token_hex(32),
            "fernet": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        }
        write_private(file, text=json.dumps(made))
    return json.loads(file.read_text())


def secret_variables(made: dict[str, str]) -> dict[str, str]:
    """Return the variables that carry secrets."""
    return {
        "AIRFLOW__API_AUTH__JWT_SECRET": made["jwt"],
        "AIRFLOW__API__SECRET_KEY": made["api"],
        "AIRFLOW__CORE__FERNET_KEY": made["fernet"],
    }


def password_file(state: Path, *, password: str) -> Path:
    """Write the simple auth manager's file (0600) and return its path."""
    file = state / "airflow" / "passwords.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_private(file, text=json.dumps({USER: password, APPROVER: password}) + "\n")
    return file


def main() -> None:
    """Write ``DIR/secrets.env`` and the password file, and say where the password is."""
    parser = argparse.ArgumentParser(prog="python -m lab.stack.airflow", description=main.__doc__)
    parser.add_argument("--state", type=Path, required=True, help="state directory of the lab")
    state: Path = parser.parse_args().state
    made = load_secrets(state)
    password_file(state, password=made["password"])
    lines = [f"{name}={value}" for name, value in secret_variables(made).items()]
    write_private(state / "secrets.env", text="\n".join(lines) + "\n")
    print(f"secrets are in {state / 'secrets.env'}")
    print(f"the UI's user is {USER}, its password in {state / 'secrets.json'}")


if __name__ == "__main__":
    main()
