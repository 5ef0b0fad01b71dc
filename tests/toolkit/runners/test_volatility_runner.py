"""The program that runs plugins: cells of Volatility's own renderers as JSON, and plugins that fail or hang."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.toolkit.examined import NO_TOOLS, TOOLS, run

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason=NO_TOOLS)
_CELLS = """
import datetime, json
from volatility3.framework import renderers
from volatility3.framework.renderers import format_hints
from forensic_toolkit.runners.volatility_runner import _plain

values = {
    "absent": renderers.NotAvailableValue(),
    "address": format_hints.Hex(0xFFFF888000001000),
    "time": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
    "bytes": b"MZ\\x90",
    "code": renderers.Disassembly(b"\\x90\\xc3", 0, "intel64"),
    "text": "bash",
    "true": True,
    "real": 0.5,
}
print(json.dumps({name: _plain(value) for name, value in values.items()}))
"""
_LIMITED = """
import json, signal
from forensic_toolkit.runners import volatility_runner

class Plugins:
    def run(self, name, options):
        if name == "hangs":
            try:
                while True:
                    pass
            except Exception:
                pass
        if name == "waits":
            signal.pause()
        if name == "fails":
            raise LookupError("no such layer")
        return [{"name": name}]

signal.signal(signal.SIGALRM, volatility_runner._out_of_time)
signal.signal(signal.SIGPROF, volatility_runner._out_of_time)
names = ("hangs", "waits", "fails", "works")
print(json.dumps([volatility_runner._limited(Plugins(), name=name, options={}, seconds=0.3) for name in names]))
"""
_KILLED = """
import json, os, signal, sys
from pathlib import Path
from forensic_toolkit.runners import volatility_runner, volatility_shortcuts

class Plugins:
    def __init__(self, **places):
        pass
    def forked(self):
        pass
    def run(self, name, options):
        if name == "grows":
            os.kill(os.getpid(), signal.SIGKILL)
        return [{"name": name}]

volatility_runner.Runner = Plugins
volatility_shortcuts.apply = lambda symbols: None
logs = [str(Path(sys.argv[1]) / f"log{n}") for n in (1, 2)]
lists = [[["first", 9], ["second", 9]], [["third", 9], ["grows", 9], ["never", 9]]]
job = {"image": "/", "symbols": "/", "cache": "/", "out": sys.argv[1], "options": {}, "lists": lists, "logs": logs}
(Path(sys.argv[1]) / "job").write_text(json.dumps(job))
errors = sys.stderr = open(Path(sys.argv[1]) / "errors", "w")
code = volatility_runner.main(["", str(Path(sys.argv[1]) / "job")])
errors.flush()
names = [[json.loads(line)["plugin"] for line in open(log)] for log in logs]
print(json.dumps([code, names, (Path(sys.argv[1]) / "errors").read_text()]))
"""


def test_a_process_that_is_killed_costs_its_own_list_alone_and_is_told(tmp_path: Path) -> None:
    code, names, said = json.loads(run(_KILLED, str(tmp_path)))
    assert code == 1 and names == [["first", "second"], ["third"]]
    assert said == "the process of list 2 was killed by signal 9\n"


def test_cells_become_json() -> None:
    assert json.loads(run(_CELLS)) == {
        "absent": None,
        "address": 0xFFFF888000001000,
        "time": "2026-01-02T03:04:05+00:00",
        "bytes": "4d5a90",
        "code": "90c3",
        "text": "bash",
        "true": True,
        "real": 0.5,
    }


def test_a_plugin_that_hangs_or_fails_does_not_stop_the_others() -> None:
    assert json.loads(run(_LIMITED)) == [
        [None, "not finished after 0 s of processor time"],
        [None, "not finished after 6 s though it used little processor time"],
        [None, "LookupError: no such layer"],
        [[{"name": "works"}], None],
    ]
