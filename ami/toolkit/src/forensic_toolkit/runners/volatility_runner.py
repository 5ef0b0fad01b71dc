"""A separate program that runs many Volatility 3 plugins on one image in one process, with one context.

Stock ``vol`` searches for the kernel again in every plugin, which takes longer than most plugins. This program is
started by :mod:`forensic_toolkit.runners.volatility` and is the only module that imports volatility3.

Usage: ``python -m forensic_toolkit.runners.volatility_runner JOB.json``; see :func:`main` for the fields.
"""

from __future__ import annotations

import dataclasses
import datetime
import gc
import importlib
import json
import logging
import signal
import sys
import time
import types
import warnings
from pathlib import Path
from typing import Any

MAX_ROWS = 100_000
SETUP_LIMIT = 120


class TimeLimitError(BaseException):
    """A plugin used up its time. Not an Exception: plugins catch those."""


def _out_of_time(_signal: int, _frame: types.FrameType | None) -> None:
    raise TimeLimitError


def lighten() -> None:
    """Make two lookups faster that every access to an object performs; their results stay the same.

    They search a dataclass and, twice, a chain of mappings; together they take a third of the time of
    a plugin such as malfind.
    """
    from volatility3.framework.interfaces import objects

    names = frozenset(field.name for field in dataclasses.fields(objects.ObjectInformation))

    def contains(_self: Any, key: object) -> bool:
        return key in names

    def get_attribute(self: Any, name: str) -> Any:
        if name == "_dict":
            raise AttributeError(name)
        try:
            return self._dict[name]
        except KeyError:
            raise AttributeError(f"Object has no attribute: {type(self).__name__}.{name}") from None

    objects.ObjectInformation.__contains__ = contains
    objects.ReadOnlyMapping.__getattr__ = get_attribute


# The version of dwarf2json whose tables have the same content as this toolkit's.
_AS_DWARF2JSON = (0, 9, 0)


def accept_own_tables() -> None:
    """Let plugins that check dwarf2json's version treat this toolkit's tables as those of ``_AS_DWARF2JSON``.

    Some require a minimum version, others behave differently for old ones, so the check itself is replaced.
    """
    from volatility3.framework import symbols

    asked = symbols.SymbolSpace.verify_table_versions

    def verify(self: Any, producer: str, validator: Any, tables: list[str] | None = None) -> bool:
        names = self._dict.keys() if tables is None else tables
        own = any(getattr(self._dict[name].producer, "name", None) == "forensic-toolkit" for name in names)
        return bool(validator(_AS_DWARF2JSON, None) if own else asked(self, producer, validator, tables))

    symbols.SymbolSpace.verify_table_versions = verify


class Runner:
    """One context for all plugins; the kernel found for the first plugin is configured for all others."""

    def __init__(self, *, image: Path, symbols: Path, cache: Path) -> None:
        from volatility3 import framework
        from volatility3.framework import automagic, constants, contexts

        plugins: Any = importlib.import_module("volatility3.plugins")
        symbol_package: Any = importlib.import_module("volatility3.symbols")
        framework.require_interface_version(2, 0, 0)
        constants.CACHE_PATH = str(cache)
        constants.OFFLINE = True
        symbol_package.__path__ = [str(symbols), *symbol_package.__path__]
        # True: ignore plugins that need packages which are not installed.
        framework.import_files(plugins, True)
        self._plugins = framework.list_plugins()
        self._context = contexts.Context()
        self._context.config["automagic.LayerStacker.single_location"] = image.as_uri()
        self._automagics = automagic.available(self._context)
        self._kernel: dict[str, Any] = {}

    def run(self, name: str, options: dict[str, str]) -> list[dict[str, Any]]:
        """Run one plugin with its options and return its rows."""
        from volatility3.framework import automagic, interfaces, plugins

        if name not in self._plugins:
            raise LookupError("this version of Volatility has no such plugin")
        plugin_class = self._plugins[name]
        chosen = automagic.choose_automagic(self._automagics, plugin_class)
        join = interfaces.configuration.path_join
        for key, value in self._kernel.items():
            self._context.config[join("plugins", plugin_class.__name__, key)] = value
        for key, value in options.items():
            self._context.config[join("plugins", plugin_class.__name__, key)] = value
        plugin = plugins.construct_plugin(
            self._context, chosen, plugin_class, "plugins", lambda _done, _what: None, None
        )
        if not self._kernel:
            prefix = join("plugins", plugin_class.__name__) + "."
            self._kernel = {
                key[len(prefix) :]: self._context.config[key]
                for key in map(str, self._context.config)
                if key.startswith(prefix + "kernel")
            }
        return _rows(plugin.run())


def _rows(grid: Any) -> list[dict[str, Any]]:
    names = [column.name for column in grid.columns]
    rows: list[dict[str, Any]] = []

    def visit(node: Any, accumulator: None) -> None:
        if len(rows) < MAX_ROWS:
            rows.append({name: _plain(value) for name, value in zip(names, node.values, strict=True)})
        return accumulator

    grid.populate(visit, None)
    return rows


def _plain(value: Any) -> Any:
    """A cell as a JSON value; absent values are None, bytes are hexadecimal."""
    from volatility3.framework import interfaces, renderers

    match value:
        case interfaces.renderers.BaseAbsentValue():
            return None
        case bool() | float() | None:
            return value
        case int():
            return int(value)
        case datetime.datetime():
            return value.isoformat()
        case bytes():
            return value[:256].hex()
        case renderers.Disassembly():
            return value.data[:64].hex()
        case _:
            return str(value)


def _limited(
    runner: Runner, *, name: str, options: dict[str, str], seconds: float
) -> tuple[list[dict[str, Any]] | None, str | None]:
    """(rows, None), or (None, the reason why there are none)."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return runner.run(name, options), None
    except TimeLimitError:
        return None, f"not finished after {seconds:.0f} s"
    except Exception as error:  # a plugin may fail in any way; the others still run
        reason = f"{type(error).__name__}: {str(error) or 'requirements not met'}"
        return None, reason[:400]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def main(argv: list[str]) -> int:
    """Run the job: ``{"image", "symbols", "cache", "out", "plugins": [[name, seconds], ...],
    "options": {name: {option: value}}}``.

    Writes ``OUT/<plugin>.json`` for each plugin with rows and one JSON line for each plugin to stdout.
    """
    job = json.loads(Path(argv[1]).read_text("utf-8"))
    warnings.filterwarnings("ignore")
    logging.disable(logging.ERROR)
    signal.signal(signal.SIGALRM, _out_of_time)
    # There are millions of long-lived objects: with the default threshold a tenth of the time is spent collecting nothing.
    gc.set_threshold(200_000, 50, 50)
    lighten()
    accept_own_tables()
    out = Path(job["out"])
    runner = Runner(image=Path(job["image"]), symbols=Path(job["symbols"]), cache=Path(job["cache"]))
    # The first plugin also searches for the kernel.
    extra = float(SETUP_LIMIT)
    for name, seconds in job["plugins"]:
        started = time.monotonic()
        rows, error = _limited(runner, name=name, options=job["options"].get(name, {}), seconds=seconds + extra)
        extra = 0.0
        if rows is not None:
            (out / f"{name}.json").write_text(json.dumps(rows, indent=0), encoding="utf-8")
        report = {
            "plugin": name,
            "rows": None if rows is None else len(rows),
            "error": error,
            "seconds": round(time.monotonic() - started, 2),
        }
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
