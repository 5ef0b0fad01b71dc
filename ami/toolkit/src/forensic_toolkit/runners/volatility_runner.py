"""A separate program that runs many Volatility 3 plugins on one image, with one context.

Stock ``vol`` searches for the kernel again in every plugin, which takes longer than most plugins. Here the first plugin of
all finds it and reads the table; then the program forks, and each list of plugins runs in a process of its own, side by side.
This program is started by :mod:`forensic_toolkit.runners.volatility`; it, ``volatility_shortcuts``, ``volatility_newer`` and the
plug-in ``volatility_arm64`` are the only modules that import volatility3.

Usage: ``python -m forensic_toolkit.runners.volatility_runner JOB.json``; see :func:`main` for the fields.
"""

from __future__ import annotations

import datetime
import gc
import importlib
import json
import logging
import os
import signal
import sys
import time
import types
import warnings
from pathlib import Path
from typing import Any, TextIO

from forensic_toolkit.runners import volatility_newer, volatility_shortcuts

MAX_ROWS = 100_000
SETUP_LIMIT = 120
# A plugin's limit is processor time: a busy machine makes it no slower. One that waits for ever has so many times as long.
_WAITING = 20


class TimeLimitError(BaseException):
    """A plugin used up its time. Not an Exception: plugins catch those."""


def _out_of_time(number: int, _frame: types.FrameType | None) -> None:
    raise TimeLimitError("of processor time" if number == signal.SIGPROF else "though it used little processor time")


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

    def forked(self) -> None:
        """Read the image by a file of this process's own from now on: one that is inherited shares its position with the others."""
        for name in self._context.layers:
            if hasattr(self._context.layers[name], "_file_"):
                self._context.layers[name]._file_ = None


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
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * _WAITING)
    try:
        return runner.run(name, options), None
    except TimeLimitError as error:
        used = seconds if "of processor" in str(error) else seconds * _WAITING
        return None, f"not finished after {used:.0f} s {error}"
    except Exception as error:  # a plugin may fail in any way; the others still run
        reason = f"{type(error).__name__}: {str(error) or 'requirements not met'}"
        return None, reason[:400]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _run(
    runner: Runner, plugins: list[tuple[str, float]], job: dict[str, Any], log: TextIO, *, extra: float = 0.0
) -> None:
    """Run plugins one after the other: rows to ``OUT/<plugin>.json``, one JSON line for each plugin to ``log``."""
    for name, seconds in plugins:
        started = time.monotonic()
        rows, error = _limited(runner, name=name, options=job["options"].get(name, {}), seconds=seconds + extra)
        if rows is not None:
            (Path(job["out"]) / f"{name}.json").write_text(json.dumps(rows, indent=0), encoding="utf-8")
        report = {
            "plugin": name,
            "rows": None if rows is None else len(rows),
            "error": error,
            "seconds": round(time.monotonic() - started, 2),
        }
        log.write(json.dumps(report) + "\n")
        log.flush()


def _in_a_fork(runner: Runner, plugins: list[tuple[str, float]], job: dict[str, Any], log: TextIO) -> int:
    """Start a process that runs these plugins; returns its id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        runner.forked()
        _run(runner, plugins, job, log)
        status = 0
    finally:
        log.flush()
        os._exit(status)


def main(argv: list[str]) -> int:
    """Run the job: ``{"image", "symbols", "cache", "out", "lists": [[[name, seconds], ...], ...], "logs": [path, ...],
    "options": {name: {option: value}}}``.

    Writes ``OUT/<plugin>.json`` for each plugin with rows, and one JSON line for each plugin to its list's log. The very first
    plugin runs alone. Returns 1 when a list's process did not end by itself, and says so on stderr.
    """
    job = json.loads(Path(argv[1]).read_text("utf-8"))
    warnings.filterwarnings("ignore")
    logging.disable(logging.ERROR)
    signal.signal(signal.SIGALRM, _out_of_time)
    signal.signal(signal.SIGPROF, _out_of_time)
    # There are millions of long-lived objects: with the default threshold a tenth of the time is spent collecting nothing.
    gc.set_threshold(200_000, 50, 50)
    volatility_shortcuts.apply(Path(job["symbols"]))
    importlib.import_module("forensic_toolkit.runners.volatility_arm64").apply()
    volatility_newer.apply()
    runner = Runner(image=Path(job["image"]), symbols=Path(job["symbols"]), cache=Path(job["cache"]))
    lists = [[(str(name), float(seconds)) for name, seconds in plugins] for plugins in job["lists"]]
    logs = [Path(path).open("w", encoding="utf-8") for path in job["logs"]]  # noqa: SIM115 - children write them
    # The first plugin also searches for the kernel.
    _run(runner, lists[0][:1], job, logs[0], extra=float(SETUP_LIMIT))
    gc.collect()
    gc.freeze()  # what is there stays shared by all children
    lists[0] = lists[0][1:]
    children = [_in_a_fork(runner, plugins, job, log) for plugins, log in zip(lists, logs, strict=True)]
    failed = 0
    for number, child in enumerate(children, start=1):
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code:
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit status {code}"
            sys.stderr.write(f"the process of list {number} {how}\n")
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv))
