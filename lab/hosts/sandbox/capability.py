"""What this machine allows: found out once, by running an empty script in a full sandbox."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import Literal

from lab.hosts.sandbox.runner import execute
from lab.hosts.sandbox.spec import Spec

log = logging.getLogger("lab.hosts.sandbox")
_lock = threading.Lock()
_found: Capabilities | None = None


@dataclasses.dataclass(frozen=True)
class Capabilities:
    """`missing` says, piece by piece, what scripts see of the host that they should not, and why."""

    mode: Literal["namespaces", "reduced"]
    missing: tuple[str, ...] = ()
    start_seconds: float | None = None


def capabilities() -> Capabilities:
    """The result for this process; the first call takes some 50 ms and logs one line when something is
    missing.
    """
    global _found
    with _lock:
        if _found is None:
            _found = _probe()
            if _found.missing:
                log.warning("lab sandbox, mode %s: %s", _found.mode, "; ".join(_found.missing))
        return _found


def _probe() -> Capabilities:
    errors: list[bytes] = []
    outcome = execute(Spec(script="exit 0\n"), timeout_seconds=20, stdout=lambda data: None, stderr=errors.append)
    if outcome.how == "exited" and outcome.code == 0:
        return Capabilities("namespaces", outcome.notes, outcome.ready_seconds)
    why = outcome.reason or b"".join(errors).decode(errors="replace").strip() or f"exit status {outcome.code}"
    missing = (
        f"namespaces are not available ({why}); scripts run as ordinary processes of the lab's user, "
        "see its files and its network, and a security group cannot cut them off",
    )
    return Capabilities("reduced", missing)
