"""Run one script as on a lab instance: in namespaces of its own, without root and without a container engine.

`Spec` says what the script sees, `execute` runs it, `capabilities` says what this machine allows. The
names are loaded on first use, because the helper process inside the sandbox must start in milliseconds.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's own, without the cost of importing it
if TYPE_CHECKING:
    from typing import Any

    from lab.hosts.sandbox.capability import Capabilities, capabilities
    from lab.hosts.sandbox.gate import Gate
    from lab.hosts.sandbox.runner import Outcome, execute
    from lab.hosts.sandbox.spec import Bind, Spec

__all__ = ["Bind", "Capabilities", "Gate", "Outcome", "Spec", "capabilities", "execute"]

_HOMES = {
    "Bind": "lab.hosts.sandbox.spec",
    "Capabilities": "lab.hosts.sandbox.capability",
    "Gate": "lab.hosts.sandbox.gate",
    "Outcome": "lab.hosts.sandbox.runner",
    "Spec": "lab.hosts.sandbox.spec",
    "capabilities": "lab.hosts.sandbox.capability",
    "execute": "lab.hosts.sandbox.runner",
}


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'lab.hosts.sandbox' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
