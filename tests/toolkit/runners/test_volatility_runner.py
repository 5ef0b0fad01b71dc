"""The program that runs plugins: cells of Volatility's own renderers as JSON, and plugins that fail or hang."""

from __future__ import annotations

import json

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
import json, signal, time
from forensic_toolkit.runners import volatility_runner

class Plugins:
    def run(self, name, options):
        if name == "hangs":
            try:
                time.sleep(30)
            except Exception:
                pass
        if name == "fails":
            raise LookupError("no such layer")
        return [{"name": name}]

signal.signal(signal.SIGALRM, volatility_runner._out_of_time)
names = ("hangs", "fails", "works")
print(json.dumps([volatility_runner._limited(Plugins(), name=name, options={}, seconds=0.3) for name in names]))
"""


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
        [None, "not finished after 0 s"],
        [None, "LookupError: no such layer"],
        [[{"name": "works"}], None],
    ]
