"""What newer kernels changed is read as it is; older ones stay as they were. The forms are Linux's own (see the module's text)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.paths import ROOT

TOOLS = ROOT / ".venv-tools" / "bin" / "python"
_FLAGS = """
import json, sys
from types import SimpleNamespace
from forensic_toolkit.runners import volatility_newer
from volatility3.framework.symbols.linux.utilities.tainting import Tainting

class Flag:
    def __init__(self, shown, otherwise, module=None):
        self.c_true, self.c_false = ord(shown), ord(otherwise)
        if module is not None: self.module = module
    def has_member(self, name): return hasattr(self, name)

class Context:
    def __init__(self, *flags):
        self.modules = {"kernel": SimpleNamespace(has_symbol=lambda name: name == "taint_flags", object_from_symbol=lambda name: flags)}

newer = Context(Flag("P", "G"), Flag("F", " "), Flag("O", " "))
older = Context(Flag("P", "G", True), Flag("F", " ", False), Flag("O", " ", True))
if sys.argv[1] == "patched": volatility_newer.apply()
said = {}
for name, where in (("newer", newer), ("older", older)):
    try: said[name] = Tainting.get_taints_as_plain_string(where, "kernel", 0b111, True)
    except AttributeError as error: said[name] = f"error: {error}"
print(json.dumps(said))
"""


def run(code: str, *arguments: str) -> dict[str, str]:
    if not TOOLS.exists():
        pytest.skip("the tools' environment is not made: make setup")
    env = {"PYTHONPATH": str(ROOT / "ami/toolkit/src"), "PATH": str(Path(sys.executable).parent)}
    done = subprocess.run([str(TOOLS), "-c", code, *arguments], env=env, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_taint_flags_that_say_nothing_of_modules_are_shown_for_them() -> None:
    assert run(_FLAGS, "stock")["newer"].startswith("error: "), "a newer Volatility reads it: this module can go"
    patched = run(_FLAGS, "patched")
    assert patched == {"newer": "PFO", "older": "PO"}
    assert run(_FLAGS, "stock")["older"] == patched["older"]


def test_everything_that_is_replaced_is_there_in_the_pinned_volatility() -> None:
    names = run(
        "import json\n"
        "from forensic_toolkit.runners import volatility_newer\n"
        "from volatility3.framework.symbols.linux import extensions\n"
        "from volatility3.framework.symbols.linux.utilities import modules\n"
        "before = extensions.task_struct._get_boottime_raw, modules.Modules.get_kset_modules.__func__\n"
        "volatility_newer.apply()\n"
        "after = extensions.task_struct._get_boottime_raw, modules.Modules.get_kset_modules.__func__\n"
        "print(json.dumps({'boottime': str(before[0] is after[0]), 'modules': str(before[1] is after[1])}))\n"
    )
    assert names == {"boottime": "False", "modules": "False"}


_AREA = """
import json, sys
from forensic_toolkit.runners import volatility_newer
from volatility3.framework.symbols.linux import extensions
volatility_newer.apply()

class File:
    def __init__(self, inode): self.inode = inode
    def __ne__(self, other): return True
    def get_inode(self): return self.inode

class Area:
    vm_start, vm_end = 0x1000, 0x3000
    def __init__(self, inode, offset=0): self.vm_file, self.offset = File(inode), offset
    vol = type("Vol", (), {"layer_name": "memory"})
    _context = type("Context", (), {"layers": {"memory": type("Layer", (), {"page_size": 4096})}})
    def get_protection(self): return "r-x"
    def get_page_offset(self): return self.offset

inode = type("Inode", (), {"i_size": 8192})
print(json.dumps({
    "whole": str(extensions.vm_area_struct.is_valid(Area(inode))),
    "past the end": str(extensions.vm_area_struct.is_valid(Area(inode, 1 << 20))),
    "no inode": str(extensions.vm_area_struct.is_valid(Area(None))),
}))
"""


def test_a_mapping_without_an_inode_is_left_out_and_ends_no_plugin() -> None:
    """In a capture of a running 7.3 one such mapping ended bash, malfind and four more."""
    assert run(_AREA) == {"whole": "True", "past the end": "False", "no inode": "False"}
