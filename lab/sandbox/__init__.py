"""Run one script as on a lab instance: in namespaces of its own, without root and without a container engine.

`Spec` says what the script sees, `execute` runs it, `capabilities` tells what this machine allows. The
names are loaded on first use, because the helper process inside the sandbox must start in milliseconds.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's own, without the cost of importing it
if TYPE_CHECKING:
    from typing import Any

    from lab.sandbox.capability import Capabilities, capabilities
    from lab.sandbox.gate import Gate
    from lab.sandbox.runner import Outcome, execute
    from lab.sandbox.spec import Bind, Spec

__all__ = ["Bind", "Capabilities", "Gate", "Outcome", "Spec", "capabilities", "execute"]

_HOMES = {
    "Bind": "lab.sandbox.spec",
    "Capabilities": "lab.sandbox.capability",
    "Gate": "lab.sandbox.gate",
    "Outcome": "lab.sandbox.runner",
    "Spec": "lab.sandbox.spec",
    "capabilities": "lab.sandbox.capability",
    "execute": "lab.sandbox.runner",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'lab.sandbox' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
