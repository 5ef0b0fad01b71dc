"""What a sandbox shows and how long its parts may grow: plain data, sent as JSON to the helper process."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Bind:
    """A file or folder of the host that the script sees at `target`. `optional`: a missing source is only
    noted.
    """

    source: str
    target: str
    read_only: bool = True
    optional: bool = False


@dataclasses.dataclass(frozen=True)
class Spec:
    """One script and its view of a machine.

    `files` are (path, text, octal mode) written into the view; `links` are (path, text of the link);
    `binds` come after both. `proc_files` are (name below /proc, host file) laid over the real ones. Sizes
    are in bytes. `disk_tmp` puts /tmp and /var/tmp on the host's disk, for work that does not fit into
    memory. `port` is the one TCP port of the host's loopback that the view can reach, when a gate serves
    it. `niceness` (0 to 19) is the script's niceness on the processor.
    """

    script: str
    script_path: str = "/var/lib/amazon/ssm/_script.sh"
    hostname: str = "lab"
    cwd: str = "/"
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    binds: tuple[Bind, ...] = ()
    files: tuple[tuple[str, str, int], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    proc_files: tuple[tuple[str, str], ...] = ()
    disk_tmp: bool = False
    port: int | None = None
    tmpfs_bytes: int = 512 * MIB
    root_bytes: int = 64 * MIB
    address_space_bytes: int = 64 * 1024 * MIB
    niceness: int = 0

    def full_environment(self) -> dict[str, str]:
        """What the script finds in its environment: nothing of the host's."""
        base = {"PATH": DEFAULT_PATH, "HOME": "/root", "LANG": "C.UTF-8", "PWD": self.cwd}
        return base | self.environment

    def to_message(self, *, workdir: Path) -> dict[str, Any]:
        """The JSON object for `lab.hosts.sandbox.enter`; `workdir` is an empty folder it may use."""
        message = dataclasses.asdict(self)
        message["environment"] = self.full_environment()
        message["workdir"] = str(workdir)
        return message
