"""What AWS knows and does not act by yet: policies that were put or deleted, and grants of keys.

IAM user guide, "Changes that I make are not always immediately visible"; radkawar/stackd recorded an inline deny that took
several polls to bite a session (testdata/aws/ssm/managed_execution_current.json, role-after-deny-3). KMS developer guide, "Using
a grant token": a grant is effective within a few seconds, at times minutes, and at once for who submits its token.

How long is drawn from the lab's seed, up to the configured seconds. Root keys are the lab's own hands: what they change has
been in effect for long, unless ``hidden_from_root`` is 1.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Any

from lab.emulator.patches import accounts, state

_lock = threading.Lock()
_drawn: dict[str, int] = {}


@dataclass(frozen=True)
class _Pending:
    """A policy that is not in effect before ``until``; ``before`` is its text until then, or None."""

    before: str | None
    until: float


def in_effect_at(kind: str, most: float, *, access_key: str) -> float:
    """The lab clock's time from which a change that a key makes is in effect, at most ``most`` seconds from now."""
    if accounts.from_outside(access_key):
        return 0.0
    with _lock:
        number = _drawn[kind] = _drawn.get(kind, 0) + 1
    draw = random.Random(f"{int(state.current().config.hidden_seed)}:{kind}:{number}")
    return state.monotonic() + draw.uniform(0.3, 1.0) * most


def policy_changed(role: Any, name: str, *, before: str | None, until: float) -> None:
    """Remember that an inline policy of moto's role has changed and what is in effect until then."""
    pending: dict[str, _Pending] = role.__dict__.setdefault("_lab_pending", {})
    earlier = pending.get(name)
    if earlier is not None and state.monotonic() < earlier.until:
        before = earlier.before
    pending[name] = _Pending(before, until)


def policies_in_effect(role: Any) -> dict[str, Any]:
    """The role's inline policies by name as AWS acts by them now."""
    found = dict(role.policies)
    for name, pending in role.__dict__.get("_lab_pending", {}).items():
        if state.monotonic() < pending.until:
            found.pop(name, None)
            if pending.before is not None:
                found[name] = pending.before
    return found


def grants_in_effect(key: Any, *, tokens: list[str] | None = None) -> list[Any]:
    """The grants of moto's key that are effective now, for everybody or for who submits these tokens."""
    now = state.monotonic()
    return [
        g for g in list(key.grants.values()) if now >= g.__dict__.get("_lab_from", 0.0) or g.token in (tokens or [])
    ]
