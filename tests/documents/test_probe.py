"""What the probe says of a kernel's memory files is what opening them shows: root's permissions say nothing under lockdown."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.documents.documents import script

SHELLS = [shell for shell in (["dash"], ["bash"], ["busybox", "sh"]) if shutil.which(shell[0])]


def regular(path: Path) -> None:
    """A file that begins as an ELF core does; the lab shows a host's memory as such a /dev/crash."""
    path.write_bytes(b"\x7fELF and more")


def refused(path: Path) -> None:
    """A device that root may read by its mode and nobody may open: a terminal for a session that has none (tty(4): ENXIO)."""
    path.symlink_to("/dev/tty")


def absent(path: Path) -> None:
    """Nothing."""
    assert not path.exists()


KINDS: list[tuple[Callable[[Path], None], bool]] = [
    (regular, True), (refused, False), (os.mkfifo, False), (Path.mkdir, False), (absent, False),
]  # fmt: skip


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize(("kind", "readable"), KINDS, ids=[kind.__name__ for kind, _ in KINDS])
def test_a_source_of_memory_is_readable_when_it_opens(
    shell: list[str], kind: Callable[[Path], None], readable: bool, tmp_path: Path
) -> None:
    text = script("probe_linux")
    for name in ("/proc/kcore", "/dev/crash", "/dev/mem"):
        place = tmp_path / Path(name).name
        kind(place)
        assert name in text
        text = text.replace(name, str(place))
    file = tmp_path / "probe.sh"
    file.write_text(text)
    done = subprocess.run(
        [*shell, str(file)], env={"SSM_CaseId": "fc-20261121-0123456789", "PATH": os.environ["PATH"]},
        capture_output=True, text=True, check=True, start_new_session=True, timeout=120,
    )  # fmt: skip
    said = json.loads(done.stdout.splitlines()[-1])
    assert {name: said[name] for name in ("kcore", "crash", "mem")} == dict.fromkeys(
        ("kcore", "crash", "mem"), readable
    )
    assert said["status"] == "ok"
