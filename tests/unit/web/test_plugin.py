"""The plugin as Airflow loads it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.api_fastapi.core_api.datamodels.plugins import ExternalViewResponse
from airflow.plugins_manager import AirflowPlugin

PLUGINS = Path(__file__).parents[3] / "plugins"


@pytest.fixture(scope="module")
def plugin() -> type[AirflowPlugin]:
    spec = importlib.util.spec_from_file_location("forensics_plugin", PLUGINS / "forensics_plugin.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ForensicsPlugin


def test_views_are_what_airflow_expects(plugin: type[AirflowPlugin]) -> None:
    plugin.validate()
    views = [ExternalViewResponse.model_validate(v) for v in plugin.external_views]
    assert [(v.destination, v.href) for v in views] == [
        ("nav", "/forensics/"),
        ("dag_run", "/forensics/run?dag_id={DAG_ID}&run_id={RUN_ID}"),
    ]
    assert len({v.url_route for v in views}) == 2


def test_airflows_loader_stays_out_of_the_package() -> None:
    assert "forensics/" in (PLUGINS / ".airflowignore").read_text().split()


def test_loading_the_plugin_imports_neither_pages_nor_aws() -> None:
    code = (
        "import sys; from airflow.plugins_manager import AirflowPlugin; before = set(sys.modules);"
        "import forensics_plugin; new = set(sys.modules) - before;"
        "heavy = {'fastapi', 'jinja2', 'boto3', 'botocore'};"
        "print(sorted(m for m in new if m.split('.')[0] in heavy or m.startswith('forensics.aws')))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PLUGINS, timeout=120
    )
    assert answer.stdout.strip().splitlines()[-1] == "[]"
