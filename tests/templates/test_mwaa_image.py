"""What is taken for granted of Amazon MWAA's image, held against its published lists and against everything that uses it.

Truth: aws/amazon-mwaa-docker-images (public), images/airflow/<version>: BillOfMaterials and etc/mwaa_essential_constraints.txt, kept as
facts in requirements/mwaa-<version>.image and .essential.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.deployment import mwaa_check, mwaa_image, package, templates
from lab.stack import airflow

ROOT = templates.ROOT
VERSIONS = package.AIRFLOW_VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_the_lock_is_the_images_published_list(version: str) -> None:
    assert mwaa_image.differences(version) == []
    assert len(mwaa_image.pinned(mwaa_image.REQUIREMENTS / f"mwaa-{version}.image")) > 200


def test_a_difference_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mwaa_image, "REQUIREMENTS", tmp_path)
    (tmp_path / "mwaa-1.image").write_text("apache_airflow==3.3.1\nboto3==1\nonly.there==1\npsycopg2==2\n")
    (tmp_path / "mwaa-1.lock").write_text("apache-airflow==3.3.1 ; x\nboto3==2 \\\nonly-here==1\nsetuptools==9\n")
    assert mwaa_image.differences("1") == [
        "boto3: the image has 1, the lock 2",
        "only-there: in the image, not in the lock",
        "only-here: in the lock, not in the image",
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_pips_constraints_name_what_the_image_has(version: str) -> None:
    """Where they name something else (gevent), pip changes nothing: our requirements do not ask for it."""
    essential = mwaa_image.pinned(mwaa_image.essential_constraints(version))
    image = mwaa_image.pinned(mwaa_image.REQUIREMENTS / f"mwaa-{version}.image")
    assert essential["apache-airflow"] == version and len(essential) > 15
    differ = {name for name in set(essential) & set(image) if essential[name] != image[name]}
    assert not differ & {name for name, _, _ in package.bundled()}


def test_one_version_is_the_default_everywhere() -> None:
    default = mwaa_image.DEFAULT
    parameters = templates.load(templates.FOLDER / "mwaa.yaml")["Parameters"]["AirflowVersion"]
    assert parameters["Default"] == default and parameters["AllowedValues"] == list(VERSIONS)
    assert f"\napache-airflow=={default}\n" in (ROOT / "requirements" / "runtime.in").read_text("utf-8")
    assert f"\napache-airflow=={default} \\" in (ROOT / "requirements" / "dev.lock").read_text("utf-8")
    assert f"constraints-{default}/" in (ROOT / "requirements.txt").read_text("utf-8")
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    built = compose["services"]["scheduler"]["build"]["dockerfile_inline"]
    assert built.startswith(f"FROM apache/airflow:{default}-python3.12\n")


def test_the_lab_runs_with_the_templates_options() -> None:
    options = mwaa_image.airflow_options()
    assert options["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"
    differ = {name for name, value in options.items() if airflow.SETTINGS[name] != value}
    assert differ == set(airflow.ONE_MACHINE) & set(options) == set(airflow.ONE_MACHINE)
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    for name, value in airflow.ONE_MACHINE.items():
        section, option = name.removeprefix("AIRFLOW__").lower().split("__")
        assert f"`{section}.{option}` ({value})" in page


def test_the_page_lists_every_option_of_airflow_with_its_value() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| `([^`]+)` \|", page, re.M))
    wanted = {name: value for name, value in mwaa_image.options().items() if not name.startswith("forensics.")}
    assert rows == wanted


def test_options_win_over_mwaas_defaults_and_its_own_settings_over_both() -> None:
    given = {"AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "600", "AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}
    made = mwaa_image.settings(given)
    assert made["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"] == "600"
    assert made["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    assert made["AIRFLOW__CORE__AUTH_MANAGER"].endswith("FabAuthManager")
    assert made["AIRFLOW__SCHEDULER__SCHEDULE_AFTER_TASK_EXECUTION"] == "False"
    assert made["AIRFLOW__CORE__EXECUTE_TASKS_NEW_PYTHON_INTERPRETER"] == "True"


def test_the_check_loads_the_release_with_mwaas_settings(tmp_path: Path) -> None:
    made = mwaa_check.airflow_variables(mwaa_check.Unpacked(tmp_path))
    assert set(mwaa_image.FORCED.items()) <= set(made.items())
    assert set(mwaa_image.airflow_options().items()) <= set(made.items())
    assert made["AIRFLOW__FORENSICS__RETENTION_DAYS"] == '{"Ref": "RetentionDays"}'


def test_the_requirements_are_installed_as_the_image_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """safe-pip-install: ``pip3 install --constraint <essential> -r requirements.txt``, dependencies included."""
    ran: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="{}", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    unpacked = mwaa_check.Unpacked(tmp_path)
    assert mwaa_check.install(Path("python"), unpacked, version="3.3.1") == []
    (pip,) = [command for command in ran if "pip" in command]
    assert "--no-deps" not in pip
    assert pip[pip.index("--constraint") + 1].endswith("mwaa-3.3.1.essential")
    assert pip[pip.index("-r") + 1] == str(unpacked.requirements)


def test_an_option_that_mwaa_keeps_to_itself_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "wheels", lambda: {"none.whl": b""})
    package.build(tmp_path / "release")
    assert mwaa_check.refused(tmp_path / "release") == []
    monkeypatch.setattr(
        mwaa_image, "options", lambda: {"core.executor": "LocalExecutor", "core.load_examples": "False"}
    )
    assert mwaa_check.refused(tmp_path / "release") == ["mwaa.yaml sets core.executor, which MWAA keeps to itself"]


def test_another_python_than_mwaas_is_refused_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mwaa_check.sys, "version_info", (3, 13, 1, "final", 0))
    with pytest.raises(mwaa_check.CheckError, match=r"PYTHON=python3\.12 make setup"):
        mwaa_check.environment("3.3.1")
