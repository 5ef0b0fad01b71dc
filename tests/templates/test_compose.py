"""The compose file starts what ``lab/stack/airflow.py`` starts, with the same settings. No container engine is
needed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lab.hosts.agent.machine import NICENESS
from lab.stack import airflow
from lab.stack.stack import HOST_NICENESS, LAB_PORT, UI_PORT

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
ONE_SHOT = {"lab-seed", "airflow-init"}
# What has to differ because each process has a container of its own.
PLACES = {
    "AIRFLOW_HOME",
    "PYTHONPATH",
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__PLUGINS_FOLDER",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE",
    "AIRFLOW__API__HOST",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
    "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY",
    "AWS_ENDPOINT_URL",
}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The parsed file."""
    return yaml.safe_load(FILE.read_text("utf-8"))


def test_file_follows_the_schema(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests" / "data" / "compose-schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    problems = [
        f"{'/'.join(map(str, e.path))}: {e.message}"
        for e in jsonschema.Draft202012Validator(schema).iter_errors(compose)
    ]
    assert problems == []


def test_compose_itself_accepts_the_file() -> None:
    if not shutil.which("docker") or subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed here")
    checked = subprocess.run(
        ["docker", "compose", "-f", str(FILE), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def _airflow_services(compose: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: compose["services"][name] for name in (*airflow.PROCESSES, "airflow-init")}


def test_environment_is_that_of_the_lab(compose: dict[str, Any], tmp_path: Path) -> None:
    ours = airflow.environment(tmp_path, lab_endpoint=f"http://127.0.0.1:{LAB_PORT}", api_port=UI_PORT)
    from_file = set(airflow.secret_variables(airflow.load_secrets(tmp_path)))
    for name, service in _airflow_services(compose).items():
        theirs = service["environment"]
        assert set(theirs) == set(ours) - from_file, name
        different = {key for key in theirs if theirs[key] != ours[key]}
        assert different <= PLACES, name


def test_processes_are_those_of_the_lab(compose: dict[str, Any]) -> None:
    for name, arguments in airflow.PROCESSES.items():
        shell, flags, script = compose["services"][name]["command"]
        assert (shell, flags) == ("bash", "-euc")
        assert script.split("; exec ")[1] == shlex.join(["airflow", *arguments])
        assert ". /lab/airflow.env" in script
        assert ". /lab/secrets.env" in script


def test_ports_are_those_of_make_up_and_local(compose: dict[str, Any]) -> None:
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}
    assert published == {
        "lab": [f"127.0.0.1:{LAB_PORT}:{LAB_PORT}"],
        "api-server": [f"127.0.0.1:{UI_PORT}:{UI_PORT}"],
    }
    assert str(LAB_PORT) in compose["services"]["lab"]["command"]
    assert compose["services"]["lab"]["command"][:3] == ["python", "-m", "lab.emulator.server"]
    assert compose["services"]["lab"]["environment"][NICENESS] == HOST_NICENESS


def test_services_wait_for_what_they_need(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for name, service in services.items():
        assert ("healthcheck" in service) != (name in ONE_SHOT), f"{name}: health check, or an end to wait for"
        for needed, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if needed in ONE_SHOT else "service_healthy"
            assert how["condition"] == wanted, f"{name} on {needed}"
    assert set(services["airflow-init"]["depends_on"]) == {"postgres", "lab-seed"}
    for name in airflow.PROCESSES:
        assert "airflow-init" in services[name]["depends_on"]


def test_volumes_are_declared_and_used(compose: dict[str, Any]) -> None:
    mounted = {v.split(":")[0] for s in compose["services"].values() for v in s.get("volumes", [])}
    assert {v for v in mounted if not v.startswith(".")} == set(compose["volumes"])
    assert all((ROOT / v).exists() for v in mounted if v.startswith("."))


def test_nobody_is_root_and_versions_agree(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name != "postgres":  # its entry point changes to the user postgres
            assert not service["user"].startswith("0:"), name
    version = re.search(r"^apache-airflow==(\S+)$", (ROOT / "requirements" / "runtime.in").read_text(), re.MULTILINE)
    assert version
    build = compose["services"]["scheduler"]["build"]["dockerfile_inline"]
    assert f"FROM apache/airflow:{version[1]}-python3.12" in build
    assert "requirements.txt" in build


def test_lab_image_is_built_from_files_that_exist() -> None:
    dockerfile = (ROOT / "lab" / "Dockerfile").read_text("utf-8")
    assert re.search(r"^FROM python:3\.12\.\d+-slim", dockerfile, re.MULTILINE)
    sources = [word for line in re.findall(r"^COPY (.+)$", dockerfile, re.MULTILINE) for word in line.split()[:-1]]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert re.search(r"^USER 50000:0$", dockerfile, re.MULTILINE)
