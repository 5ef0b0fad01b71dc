"""How a patch changes moto: every change names the symbol it replaces and says so when it is gone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import moto

MOTO_VERSION = "5.2.5"
_MISSING = object()


class PatchError(RuntimeError):
    """moto is not the version these patches were written for, or a symbol they replace has gone."""


def check_version() -> None:
    """Refuse any other moto: the patches reach into its internals."""
    if moto.__version__ != MOTO_VERSION:
        raise PatchError(
            f"lab.emulator.patches were written for moto {MOTO_VERSION}, but moto {moto.__version__} is installed; "
            f"install the locked version (requirements/dev.lock) or revise lab/emulator/patches and their tests"
        )


def _name(owner: Any) -> str:
    return str(getattr(owner, "__qualname__", None) or getattr(owner, "__name__", owner))


def replace(owner: Any, name: str, build: Callable[[Any], Any]) -> None:
    """Replace `owner.name` with `build(original)`. Raises PatchError when moto no longer has it."""
    original = owner.__dict__.get(name, _MISSING) if isinstance(owner, type) else getattr(owner, name, _MISSING)
    if original is _MISSING and isinstance(owner, type):
        original = getattr(owner, name, _MISSING)
    if original is _MISSING:
        raise PatchError(
            f"moto {moto.__version__} has no {_name(owner)}.{name}, which lab.emulator.patches replaces; "
            f"the patch must be revised for this version of moto"
        )
    if isinstance(original, staticmethod | classmethod):
        original = original.__func__
    setattr(owner, name, build(original))


def add(owner: Any, name: str, value: Any) -> None:
    """Give `owner` something moto lacks. Raises PatchError when moto has grown it itself."""
    if getattr(owner, name, _MISSING) is not _MISSING:
        raise PatchError(
            f"moto {moto.__version__} now has {_name(owner)}.{name} itself; "
            f"compare it with the patch in lab/emulator/patches and drop one of them"
        )
    setattr(owner, name, value)
