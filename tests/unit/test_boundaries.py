"""What the import linter cannot see: files outside the package, and files that are not imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAG_MAY_IMPORT = (
    "forensics.task_groups",
    "forensics.operators",
    "forensics.sensors",
    "forensics.models",
    "forensics.settings",
    "forensics.errors",
    "forensics.correlation",
)


def _imports(file: Path) -> Iterator[str]:
    """Names of imported modules; `from a import b` gives both a and a.b, since b may be a module."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


def test_product_never_imports_lab_or_tests() -> None:
    wrong = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in _files("dags", "plugins")
        for name in _imports(file)
        if name.split(".")[0] in {"lab", "tests"}
    ]
    assert wrong == []


@pytest.mark.parametrize("file", _files("dags"), ids=lambda file: file.name)
def test_dags_only_compose(file: Path) -> None:
    wrong = [
        name
        for name in _imports(file)
        if name.split(".")[0] in {"boto3", "botocore", "airflow_client"}
        or (name.startswith("forensics.") and not name.startswith(DAG_MAY_IMPORT))
    ]
    assert wrong == [], f"{file.name} reaches below task groups, operators and sensors"


def test_airflow_does_not_execute_the_package() -> None:
    """Airflow executes every .py below plugins/ that .airflowignore does not name, and so imports it
    twice."""
    assert "forensics/" in (ROOT / "plugins" / ".airflowignore").read_text().splitlines()


def test_modules_have_names_that_say_something() -> None:
    files = _files("dags", "plugins", "lab", "ami")
    assert [str(f.relative_to(ROOT)) for f in files if f.stem in {"utils", "common", "helpers", "misc"}] == []
