"""Which test files are pure: what they import, followed to its end, holds neither Airflow nor boto3 nor the lab,
and starts neither a program nor a server.

``python -m tests.pure`` prints them, one a line; `make quick` runs them. Nothing is imported to find out.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# where pytest looks for modules (`pythonpath` in pyproject.toml)
SOURCES = tuple(ROOT / folder for folder in ("plugins", "ami/toolkit/src", "verifier", "."))
HEAVY = frozenset(
    {"airflow", "boto3", "botocore", "aiobotocore", "moto", "fastapi", "lab"}
    | {"subprocess", "multiprocessing", "socket", "http", "case_utils"}
)
# fixtures of tests/conftest.py that import the product's settings, and so Airflow
HEAVY_FIXTURES = ("settings_environment",)


def _statements(nodes: list[ast.stmt]) -> Iterator[ast.AST]:
    """Every node below, without what only a type checker reads."""
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _statements(node.orelse)
        else:
            yield from ast.walk(node)


def _imports(file: Path) -> Iterator[str]:
    """Names of imported modules; ``from a import b`` gives both a and a.b, since b may be a module."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in _statements(ast.parse(file.read_text("utf-8")).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join((*package[: len(package) - node.level + 1], node.module or "")) if node.level else node.module
            )
            yield base or ""
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _file(name: str) -> Path | None:
    """The project's own file of a module."""
    place = name.replace(".", "/")
    candidates = (source / f"{place}{end}" for source in SOURCES for end in (".py", "/__init__.py"))
    return next((file for file in candidates if file.is_file()), None)


@cache
def _reaches(file: Path) -> frozenset[Path | str]:
    """The project's files that one file imports, and the heavy packages."""
    found: set[Path | str] = set()
    for name in _imports(file):
        parts = name.split(".")
        if parts[0] in HEAVY:
            found.add(parts[0])
        else:  # a package's __init__ runs before the module in it
            found |= {own for end in range(1, len(parts) + 1) if (own := _file(".".join(parts[:end])))}
    return frozenset(found)


def heavy(test: Path) -> set[str]:
    """The heavy packages that a test file reaches, also by the conftest.py files of its folders."""
    if any(fixture in test.read_text("utf-8") for fixture in HEAVY_FIXTURES):
        return set(HEAVY_FIXTURES)
    folders = [folder for folder in test.parents if ROOT / "tests" in folder.parents]
    waiting: list[Path | str] = [test, *(file for folder in folders if (file := folder / "conftest.py").is_file())]
    seen: set[Path | str] = set()
    while waiting:
        here = waiting.pop()
        if here not in seen:
            seen.add(here)
            waiting += _reaches(here) if isinstance(here, Path) else ()
    return {name for name in seen if isinstance(name, str)}


def pure() -> list[Path]:
    """The pure test files of the project, in order."""
    return [file for file in sorted((ROOT / "tests").rglob("test_*.py")) if not heavy(file)]


if __name__ == "__main__":
    sys.stdout.write("".join(f"{file.relative_to(ROOT)}\n" for file in pure()))
