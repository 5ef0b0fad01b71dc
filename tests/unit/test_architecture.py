"""Rules of the codebase that no linter checks: what DAG files import, names, sizes, clocks. Rooms: pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = sorted([*(ROOT / "plugins").rglob("*.py"), *(ROOT / "dags").rglob("*.py")])
NAMELESS = {"utils", "util", "common", "helpers", "helper", "misc", "tools"}
# What Airflow sees of a room; everything else is behind it.
AIRFLOW_SIDE = re.compile(r"forensics|forensics\.(flows|task_defaults|task_docs|\w+\.\w*(operators|sensors))(\.\w+)?")


def _id(file: Path) -> str:
    return str(file.relative_to(ROOT))


def _imports(file: Path) -> Iterator[str]:
    """Every imported module, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _touches(file: Path, *packages: str) -> set[str]:
    return {name for name in _imports(file) if name.split(".")[0] in packages}


@pytest.mark.parametrize("file", PRODUCT, ids=_id)
def test_the_product_knows_no_lab_and_no_tests(file: Path) -> None:
    assert not _touches(file, "lab", "tests", "moto")


@pytest.mark.parametrize("file", [f for f in PRODUCT if "dags" in f.relative_to(ROOT).parts[:1]], ids=_id)
def test_dags_only_compose(file: Path) -> None:
    foreign = [
        name
        for name in _imports(file)
        if name.split(".")[0] not in {*sys.stdlib_module_names, "airflow"} and not AIRFLOW_SIDE.fullmatch(name)
    ]
    assert foreign == []


@pytest.mark.parametrize("file", PRODUCT, ids=_id)
def test_every_module_has_a_name_of_its_own(file: Path) -> None:
    assert file.stem not in NAMELESS
    assert file.stem not in sys.stdlib_module_names


@pytest.mark.parametrize("file", PRODUCT, ids=_id)
def test_every_clock_has_a_time_zone(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            where = f"{_id(file)}:{node.lineno}"
            assert node.func.attr not in {"utcnow", "utcfromtimestamp"}, where
            if node.func.attr == "now":
                assert node.args or node.keywords, where


@pytest.mark.parametrize("file", PRODUCT, ids=_id)
def test_nothing_is_swallowed(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            where = f"{_id(file)}:{node.lineno}"
            assert node.type is not None, where
            assert not all(isinstance(s, ast.Pass) for s in node.body), where


@pytest.mark.parametrize("file", PRODUCT, ids=_id)
def test_files_are_short_enough_to_read(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= 400


def test_airflow_does_not_execute_the_package_as_plugins() -> None:
    ignored = (ROOT / "plugins" / ".airflowignore").read_text("utf-8").splitlines()
    assert "forensics/" in ignored
