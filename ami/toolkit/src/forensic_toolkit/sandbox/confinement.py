"""What a program that reads hostile bytes is denied: network, privileges, system calls, memory, processor time, size of output.

Every restriction is attempted; where the machine does not allow one (a container without namespaces, a Python that other
users cannot read), the provenance of the results says so. Source: unshare(2), prctl(2), setrlimit(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from forensic_toolkit.sandbox import system_calls

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_NEW_USER = 0x10000000  # CLONE_NEWUSER
_SET_NO_NEW_PRIVILEGES = 38
_SET_DEATH_SIGNAL = 1
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
NOBODY = 65534
MAX_FILES = 4096
MAX_PROCESSES = 512
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Confinement:
    """Limits in bytes and seconds; ``group`` may read the evidence; ``user`` None keeps the current user."""

    memory_bytes: int
    output_bytes: int
    group: int | None = None
    user: int | None = None
    processor_seconds: int = 86_400

    def hook(self) -> Callable[[], None]:
        """The function to run in the child between fork and exec; it must not import or open anything."""
        library = ctypes.CDLL(None, use_errno=True)
        root = os.geteuid() == 0
        groups = [] if self.group is None else [self.group]
        filter_calls = system_calls.installer(library)

        def confine() -> None:
            # Without root a user namespace is needed first; where there is none, the network stays reachable.
            if library.unshare(_NEW_NETWORK if root else _NEW_USER | _NEW_NETWORK) == 0:
                with contextlib.suppress(OSError):
                    _loopback_up()
            for kind, most in (
                (resource.RLIMIT_AS, self.memory_bytes),
                (resource.RLIMIT_FSIZE, self.output_bytes),
                (resource.RLIMIT_CORE, 0),
                (resource.RLIMIT_NOFILE, MAX_FILES),
                (resource.RLIMIT_CPU, self.processor_seconds),
                # Counted per user, so only where nobody else uses that user.
                *([] if self.user is None else [(resource.RLIMIT_NPROC, MAX_PROCESSES)]),
            ):
                with contextlib.suppress(ValueError, OSError):
                    resource.setrlimit(kind, (most, most))
            if self.user is not None:
                with contextlib.suppress(OSError):
                    os.setgroups(groups)
                    os.setgid(self.user)
                    os.setuid(self.user)
            library.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
            library.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
            filter_calls()

        return confine


def _loopback_up() -> None:
    """Switch on ``lo`` of a new network namespace: plaso's processes talk to each other over it (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        asked = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("H", fcntl.ioctl(handle, _GET_FLAGS, asked), 16)[0]
        fcntl.ioctl(handle, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))


def die_with_parent() -> Callable[[], None]:
    """The function to run before exec in programs started by a confined one: they die with their parent."""
    library = ctypes.CDLL(None, use_errno=True)

    def ask() -> None:
        library.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)

    return ask


def plan(*, inputs: list[Path], folder: Path, input_bytes: int, seconds: float = 43_200.0) -> Confinement:
    """The strongest confinement that this machine supports: a user change needs Python and the folder to be reachable.

    ``seconds`` is the time limit for everything; a process may use twice that in processor time (parallel threads).
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    # The mapped image counts as address space, but takes no memory of its own.
    most = max(4 * GIB, memory) + input_bytes
    # A copy of a logical volume may be as large as the evidence.
    output = 16 * GIB + input_bytes
    processor = int(2 * seconds) + 60
    if os.geteuid() != 0 or not _reachable(Path(sys.executable).resolve()) or not _reachable(Path(__file__).resolve()):
        return Confinement(most, output, processor_seconds=processor)
    group = inputs[0].stat().st_gid if inputs else None
    if not _reachable(folder) or not (_mapped("uid_map") and _mapped("gid_map")):
        return Confinement(most, output, processor_seconds=processor)
    return Confinement(most, output, group=group, user=NOBODY, processor_seconds=processor)


def _mapped(name: str) -> bool:
    """Whether the unprivileged user exists in this user namespace (user_namespaces(7)); most have only one user."""
    lines = [[int(n) for n in line.split()] for line in Path("/proc/self", name).read_text("ascii").splitlines()]
    return any(inside <= NOBODY < inside + count for inside, _, count in lines)


def _reachable(path: Path) -> bool:
    """Whether every user may enter all folders above ``path``."""
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


def hand_over(folder: Path, confinement: Confinement) -> None:
    """Make the confined user the owner of a folder and its contents."""
    if confinement.user is None:
        return
    folder.chmod(0o711)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, confinement.user, confinement.user, follow_symlinks=False)


def described() -> tuple[list[str], str | None]:
    """The restrictions on the current process, and which of the intended ones are missing (None: none)."""
    network = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text("ascii").splitlines()[2:]]
    cards = [name for name in network if name != "lo"]
    memory, _ = resource.getrlimit(resource.RLIMIT_AS)
    size, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    words = [f"user {os.getuid()}", f"memory {memory >> 20} MiB", f"files {size >> 20} MiB"]
    open_ends = []
    if cards:
        open_ends.append(f"the network is reachable ({', '.join(cards[:3])})")
    else:
        words.append("no network")
    if "\nSeccomp:\t2" in Path("/proc/self/status").read_text("ascii", "replace"):
        words.append("system calls filtered")
    else:
        open_ends.append("system calls are not filtered")
    if os.getuid() == 0:
        open_ends.append("it runs as root")
    return words, "; ".join(open_ends) or None
