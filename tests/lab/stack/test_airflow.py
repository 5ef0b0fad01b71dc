"""The environment of Airflow's processes."""

from __future__ import annotations

import json
import stat
from pathlib import Path

from lab.paths import ROOT
from lab.stack import airflow


def test_every_airflow_option_exists(tmp_path: Path) -> None:
    """A misspelt option is silently ignored by Airflow."""
    from airflow.configuration import conf

    known = conf.configuration_description
    unknown = []
    for name in airflow.environment(tmp_path, lab_endpoint="http://127.0.0.1:1", api_port=1):
        if name.startswith("AIRFLOW__") and not name.startswith("AIRFLOW__FORENSICS__"):
            _, section, option = name.lower().split("__", 2)
            if option not in known.get(section, {}).get("options", {}):
                unknown.append(name)
    assert unknown == []


def test_secrets_are_made_once_and_private(tmp_path: Path) -> None:
    first = airflow.environment(tmp_path, lab_endpoint="http://127.0.0.1:1", api_port=1)
    again = airflow.environment(tmp_path, lab_endpoint="http://127.0.0.1:1", api_port=1)
    assert first == again
    other = airflow.environment(tmp_path / "other", lab_endpoint="http://127.0.0.1:1", api_port=1)
    assert first["AIRFLOW__API_AUTH__JWT_SECRET"] != other["AIRFLOW__API_AUTH__JWT_SECRET"]
    passwords = Path(first["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert list(json.loads(passwords.read_text())) == [airflow.USER, airflow.APPROVER]
    for file in (passwords, tmp_path / "secrets.json"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_lab_is_not_on_airflows_path(tmp_path: Path) -> None:
    found = airflow.environment(tmp_path, lab_endpoint="http://127.0.0.1:1", api_port=1)
    assert found["PYTHONPATH"] == str(ROOT / "plugins")


def test_own_aws_and_airflow_setup_does_not_leak() -> None:
    dirty = {
        "PATH": "/bin", "AWS_PROFILE": "production", "AWS_SESSION_TOKEN": "x", "AIRFLOW_HOME": "/x",
        "AIRFLOW__CORE__DAGS_FOLDER": "/x", "PYTHONPATH": "/x", "MOTO_ACCOUNT_ID": "1",
        "HTTPS_PROXY": "http://proxy", "NO_PROXY": "a",
    }  # fmt: skip
    kept = airflow.clean(dirty)
    assert kept == {
        "PATH": "/bin", "HTTPS_PROXY": "http://proxy", "NO_PROXY": "a,127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }  # fmt: skip
