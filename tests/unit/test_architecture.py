"""Rules of the codebase that no linter checks: what DAG files import, names, sizes, clocks. Rooms: pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = sorted([*(ROOT / "plugins").rglob("*.py"), *(ROOT / "dags").rglob("*.py")])
EVERYWHERE = sorted(
    f for d in ("plugins", "dags", "cli", "infra", "lab", "ami", "verifier") for f in (ROOT / d).rglob("*.py")
)
NAMELESS = {"utils", "util", "common", "helpers", "helper", "misc", "tools"}
# What Airflow sees of a room; everything else is behind it.
AIRFLOW_SIDE = re.compile(r"forensics|forensics\.(flows|task_defaults|task_docs|\w+\.\w*(operators|sensors))(\.\w+)?")


def _where(file: Path, node: ast.AST | None = None) -> str:
    return str(file.relative_to(ROOT)) + (
        f":{node.lineno}" if isinstance(node, ast.stmt | ast.expr | ast.excepthandler) else ""
    )


@cache
def _nodes(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(file.read_text("utf-8"))))


def _imports(file: Path) -> Iterator[str]:
    """Every imported module, also inside functions and under TYPE_CHECKING."""
    for node in _nodes(file):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_naive_clock(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    has_zone = bool(node.args or node.keywords)
    return node.func.attr in {"utcnow", "utcfromtimestamp"} or (node.func.attr == "now" and not has_zone)


def _swallows(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and (
        node.type is None or all(isinstance(statement, ast.Pass) for statement in node.body)
    )


def test_the_product_is_found() -> None:
    assert len(PRODUCT) > 200, "the rules below look at nothing"


def test_the_product_knows_no_lab_and_no_tests() -> None:
    foreign = {"lab", "tests", "moto"}
    assert [(_where(file), name) for file in PRODUCT for name in _imports(file) if name.split(".")[0] in foreign] == []


def test_dags_only_compose() -> None:
    known = {*sys.stdlib_module_names, "airflow"}
    dags = [file for file in PRODUCT if file.is_relative_to(ROOT / "dags")]
    foreign = [
        (_where(file), name)
        for file in dags
        for name in _imports(file)
        if name.split(".")[0] not in known and not AIRFLOW_SIDE.fullmatch(name)
    ]
    assert dags
    assert foreign == []


def test_every_module_has_a_name_of_its_own() -> None:
    assert [_where(file) for file in PRODUCT if file.stem in NAMELESS | sys.stdlib_module_names] == []


def test_every_clock_has_a_time_zone() -> None:
    assert [_where(file, node) for file in PRODUCT for node in _nodes(file) if _is_naive_clock(node)] == []


def test_nothing_is_swallowed() -> None:
    assert [_where(file, node) for file in PRODUCT for node in _nodes(file) if _swallows(node)] == []


def _enums() -> set[str]:
    return {
        node.name
        for file in EVERYWHERE
        for node in _nodes(file)
        if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases)
    }


def _asks_an_enum(node: ast.AST, enums: set[str]) -> bool:
    return isinstance(node, ast.Compare) and any(
        isinstance(how, ast.In | ast.NotIn) and ast.unparse(side).rpartition(".")[2] in enums
        for how, side in zip(node.ops, node.comparators, strict=True)
    )


def test_nothing_asks_an_enum_for_a_value() -> None:
    """``"x" in Enum`` is a TypeError before Python 3.12 (library reference, *enum*, EnumType.__contains__), and 3.11 is supported."""
    enums = _enums()
    assert [_where(f, n) for f in EVERYWHERE for n in _nodes(f) if _asks_an_enum(n, enums)] == []
    assert "Severity" in enums and _asks_an_enum(ast.parse("x in models.Severity", mode="eval").body, enums)


def test_files_are_short_enough_to_read() -> None:
    assert [_where(file) for file in PRODUCT if len(file.read_text("utf-8").splitlines()) > 400] == []


@pytest.mark.parametrize(
    "text", ["datetime.now()", "datetime.utcnow()", "try: x()\nexcept: y()", "try: x()\nexcept E: pass"]
)
def test_the_rules_bite(text: str) -> None:
    assert any(_is_naive_clock(node) or _swallows(node) for node in ast.walk(ast.parse(text)))


def test_airflow_does_not_execute_the_package_as_plugins() -> None:
    ignored = (ROOT / "plugins" / ".airflowignore").read_text("utf-8").splitlines()
    assert "forensics/" in ignored
