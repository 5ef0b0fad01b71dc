"""Which test files are pure: what they import, followed to its end, holds neither Airflow nor boto3 nor moto,
and starts neither a program nor a server (so nothing of the lab but its few plain files).

``python -m tests.pure`` prints them, one a line; `make quick` runs them. Nothing is imported to find out. What a fixture of
a conftest.py imports inside its function counts only for tests that ask for the fixture.
"""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# where pytest looks for modules (`pythonpath` in pyproject.toml)
SOURCES = tuple(ROOT / folder for folder in ("plugins", "ami/toolkit/src", "verifier", "."))
HEAVY = frozenset(
    {"airflow", "boto3", "botocore", "aiobotocore", "moto", "fastapi"}
    | {"subprocess", "multiprocessing", "socket", "http", "case_utils"}
)


def _nodes(statements: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every statement at any depth, without what only a type checker reads. Imports are statements: expressions are not
    entered."""
    for node in statements:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _nodes(node.orelse)
        else:
            yield node
            for block in ("body", "orelse", "finalbody", "handlers", "cases"):
                below = getattr(node, block, None)
                if isinstance(below, list):  # a lambda's body is an expression
                    yield from _nodes(below)


def _imports(file: Path, statements: Iterable[ast.stmt]) -> Iterator[str]:
    """Names of imported modules; ``from a import b`` gives both a and a.b, since b may be a module."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in _nodes(statements):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join((*above, *filter(None, (node.module,))))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@cache
def _file(name: str) -> Path | None:
    """The project's own file of a module."""
    place = name.replace(".", "/")
    candidates = (source / f"{place}{end}" for source in SOURCES for end in (".py", "/__init__.py"))
    return next((file for file in candidates if file.is_file()), None)


def _resolved(names: Iterable[str]) -> set[Path | str]:
    """The project's files among imported modules, and the heavy packages."""
    found: set[Path | str] = set()
    for name in names:
        parts = name.split(".")
        if parts[0] in HEAVY:
            found.add(parts[0])
        else:  # a package's __init__ runs before the module in it
            found |= {own for end in range(1, len(parts) + 1) if (own := _file(".".join(parts[:end])))}
    return found


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


@cache
def _reaches(file: Path) -> frozenset[Path | str]:
    return frozenset(_resolved(_imports(file, _tree(file).body)))


def _asked(test: Path) -> set[str]:
    """Names that may be those of fixtures: arguments of functions, and texts for ``usefixtures`` and ``getfixturevalue``."""
    places = re.findall(r"(?:\bdef \w+|usefixtures|getfixturevalue)\(([^)]*)\)", test.read_text("utf-8"))
    return {word for place in places for word in re.findall(r"\w+", place)}


def _is_autouse(function: ast.FunctionDef) -> bool:
    return any("autouse=True" in ast.unparse(decorator) for decorator in function.decorator_list)


def _by_conftest(conftest: Path, asked: set[str]) -> set[Path | str]:
    """What a conftest.py brings to a test that asks for these names; adds the names that its fixtures ask for."""
    body = _tree(conftest).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    # hooks and autouse fixtures run for everybody
    always = {n for n, f in functions.items() if n.startswith("pytest_") or _is_autouse(f)}
    waiting, run = [*(asked & functions.keys()), *always], set[str]()
    while waiting:
        name = waiting.pop()
        if name in functions and name not in run:
            run.add(name)
            wanted = {argument.arg for argument in functions[name].args.args}
            asked |= wanted
            waiting += wanted
    return set(_conftest_reaches(conftest, frozenset(run)))


@cache
def _conftest_reaches(conftest: Path, run: frozenset[str]) -> frozenset[Path | str]:
    body = [node for node in _tree(conftest).body if not isinstance(node, ast.FunctionDef) or node.name in run]
    return frozenset(_resolved(_imports(conftest, body)))


def heavy(test: Path) -> set[str]:
    """The heavy packages that a test file reaches, also by the conftest.py files of its folders."""
    asked = _asked(test)
    waiting: list[Path | str] = [test]
    for folder in test.parents:
        if (conftest := folder / "conftest.py").is_file() and ROOT in folder.parents:
            waiting += _by_conftest(conftest, asked)
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
    gc.disable()  # all trees are kept to the end: looking for garbage among them takes a third of the time
    if not (found := pure()):
        sys.exit("no test file is pure: something that every test imports (tests/conftest.py) reaches a heavy package")
    sys.stdout.write("".join(f"{file.relative_to(ROOT)}\n" for file in found))
