"""The forensic toolkit as the forensic AMI carries it: shown to a sandbox from the repository and its
tools' Python.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

from lab.hosts.sandbox.spec import Bind

REPOSITORY = Path(__file__).resolve().parents[3]
TOOLKIT = REPOSITORY / "ami" / "toolkit"
WRAPPER = "/opt/forensic-toolkit/bin/forensic-toolkit"
_PREFIXES = "import sys; print(sys.prefix); print(sys.base_prefix)"


class ToolsError(Exception):
    """The tools' Python cannot be used; the message says why."""


def default_python() -> Path:
    """LAB_TOOLS_PYTHON, else the repository's tools environment, else this interpreter."""
    given = os.environ.get("LAB_TOOLS_PYTHON")
    if given:
        return Path(given)
    own = REPOSITORY / ".venv-tools" / "bin" / "python"
    return own if os.access(own, os.X_OK) else Path(sys.executable)


def toolkit_view(python: Path | None) -> tuple[list[Bind], tuple[str, str, int]]:
    """What a forensic instance sees besides the host's programs, and the program that documents call.

    Everything is shown at its real place, because virtual environments hold absolute paths. Raises
    ToolsError.
    """
    python = python or default_python()
    shown = [Bind(str(TOOLKIT), str(TOOLKIT))]
    for folder in _folders(python):
        if not any(folder.is_relative_to(system) for system in ("/usr", "/bin", "/lib")):
            shown.append(Bind(str(folder), str(folder)))
    plaso = REPOSITORY / ".venv-plaso" / "bin"
    if (plaso / "python").exists():
        shown += [Bind(str(folder), str(folder)) for folder in _folders(plaso / "python") if _is_extra(folder, shown)]
    text = (
        "#!/bin/sh\n"
        f'export FORENSIC_PLASO="{plaso}"\n'
        f'export PATH="{python.parent}:$PATH" PYTHONPATH="{TOOLKIT / "src"}" PYTHONDONTWRITEBYTECODE=1\n'
        f'exec "{python}" -m forensic_toolkit "$@"\n'
    )
    return shown, (WRAPPER, text, 0o755)


def _is_extra(folder: Path, shown: list[Bind]) -> bool:
    known = [Path(bind.target) for bind in shown]
    return not any(folder.is_relative_to(part) for part in (Path("/usr"), Path("/bin"), Path("/lib"), *known))


@functools.cache
def _folders(python: Path) -> tuple[Path, ...]:
    """The environment of a Python, its base installation, and where links lead from there."""
    try:
        result = subprocess.run(
            [str(python), "-I", "-c", _PREFIXES], capture_output=True, text=True, timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolsError(
            f"the forensic tools' Python {python} does not run: {error}. Set LAB_TOOLS_PYTHON to one that has them."
        ) from error
    prefixes = [Path(line) for line in result.stdout.splitlines()]
    prefixes += [prefix.resolve() for prefix in prefixes] + [python.resolve().parents[1]]
    return tuple(dict.fromkeys(prefixes))
