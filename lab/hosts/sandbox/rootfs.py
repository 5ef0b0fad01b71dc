"""The file tree a sandboxed script sees: a private tmpfs with read-only pieces of the host bound into it.

Runs inside the new namespaces as their first process, before pivot_root. Paths of the view are joined below
`root`.

Programs are those of the host's /usr: a script finds python3 when the host has one there. The lab's own
interpreter is not shown, for a target need not have any; a forensic instance gets its toolkit's by binds.
"""

# This runs before every command, and importing pathlib would be a good part of its start-up time:
# ruff: noqa: PTH103, PTH110, PTH114, PTH115, PTH116, PTH120, PTH123, PTH211
from __future__ import annotations

import os
import stat

from lab.hosts.sandbox import kernel

TYPE_CHECKING = False  # as typing's own, without the cost of importing it
if TYPE_CHECKING:
    from typing import Any

# Of the host's /etc only what programs need to run. The rest (accounts, keys, configuration) is the host's
# own.
ETC_ENTRIES = (
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "ssl",
    "pki",
    "ca-certificates",
    "crypto-policies",
    "nsswitch.conf",
    "localtime",
    "timezone",
    "mime.types",
    "magic",
    "magic.mime",
    "terminfo",
    "profile",
    "inputrc",
    "services",
    "protocols",
    "host.conf",
    "gai.conf",
    "python3",
)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
DEVICE_LINKS = (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2"))
WRITABLE = ("/tmp", "/run", "/dev/shm", "/root", "/var/tmp")
DISK_BACKED = ("/tmp", "/var/tmp")
# As container engines do: nothing that a process of host uid 0 could write to the kernel through.
PROC_READ_ONLY = ("sys", "irq", "bus", "fs")
PROC_HIDDEN = ("sysrq-trigger", "kcore", "keys", "timer_list", "kmsg", "kpagecount", "kpageflags")
ACCOUNTS = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
GROUPS = "root:x:0:\nnogroup:x:65534:\n"


class SetupError(Exception):
    """A piece the sandbox cannot do without is missing; the message says which and why."""


class Tree:
    """Builds the view below `root` and keeps notes on what had to be left out."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.notes: list[str] = []

    def at(self, path: str) -> str:
        """Where a path of the view is before pivot_root."""
        return self.root + path

    def folder(self, path: str, *, mode: int = 0o755) -> str:
        """Make a folder of the view."""
        os.makedirs(self.at(path), mode=mode, exist_ok=True)
        return self.at(path)

    def text(self, path: str, *, content: str, mode: int = 0o644) -> None:
        """Write a small file of the view."""
        self.folder(os.path.dirname(path))
        with open(self.at(path), "w", encoding="utf-8") as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), mode)

    def link(self, path: str, *, content: str) -> None:
        """Make a symbolic link of the view."""
        self.folder(os.path.dirname(path))
        os.symlink(content, self.at(path))

    def tmpfs(self, path: str, *, size: int, mode: str = "1777") -> None:
        """Mount an empty writable tmpfs."""
        target = self.folder(path)
        flags = kernel.MS_NOSUID | kernel.MS_NODEV
        kernel.mount("tmpfs", target=target, kind="tmpfs", flags=flags, options=f"size={size},mode={mode}")

    def bind(self, source: str, *, target: str, read_only: bool = True) -> None:
        """Show a file or folder of the host. Raises OSError."""
        place = self.at(target)
        if stat.S_ISDIR(os.stat(source).st_mode):
            self.folder(target)
        else:
            self.folder(os.path.dirname(target))
            if not os.path.exists(place):
                os.close(os.open(place, os.O_CREAT | os.O_WRONLY, 0o644))
        kernel.mount(source, target=place, flags=kernel.MS_BIND | kernel.MS_REC)
        if read_only:
            kernel.make_read_only(place)

    def attempt(self, source: str, *, target: str, otherwise: str) -> None:
        """Bind read-only, or note what holds otherwise."""
        try:
            self.bind(source, target=target)
        except OSError as error:
            self.notes.append(f"{otherwise}: {error}")


def build(message: dict[str, Any], *, notes: list[str]) -> str:
    """Mount the whole view; returns the folder that becomes /. Raises SetupError, OSError."""
    root = f"{message['workdir']}/root"
    os.makedirs(root, mode=0o755, exist_ok=True)
    kernel.mount("none", target="/", flags=kernel.MS_REC | kernel.MS_PRIVATE)
    options = f"size={message['root_bytes']},mode=755"
    kernel.mount("tmpfs", target=root, kind="tmpfs", flags=kernel.MS_NOSUID | kernel.MS_NODEV, options=options)
    tree = Tree(root)
    tree.notes = notes
    _programs(tree)
    _etc(tree, hostname=message["hostname"])
    _devices(tree)
    for path in WRITABLE:
        if message["disk_tmp"] and path in DISK_BACKED:
            source = f"{message['workdir']}{path}"
            os.makedirs(source)
            tree.bind(source, target=path, read_only=False)
            continue
        tree.tmpfs(path, size=message["tmpfs_bytes"], mode="700" if path == "/root" else "1777")
    tree.link("/var/run", content="/run")
    tree.folder("/sys")
    _proc(tree, overlays=message["proc_files"])
    for path, content, mode in message["files"]:
        tree.text(path, content=content, mode=mode)
    for path, content in message["links"]:
        tree.link(path, content=content)
    _binds(tree, binds=message["binds"])
    tree.text(message["script_path"], content=message["script"], mode=0o700)
    return root


def seal() -> None:
    """After pivot_root: what is not a writable tmpfs is read-only from now on."""
    # Not recursive: the tmpfs mounts below stay writable.
    kernel.mount(
        "none",
        target="/",
        flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV,
    )
    kernel.mount(
        "none",
        target="/dev",
        flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV,
    )


def _programs(tree: Tree) -> None:
    tree.bind("/usr", target="/usr")
    with os.scandir("/") as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        if name not in ("bin", "sbin") and not name.startswith("lib"):
            continue
        path = f"/{name}"
        if os.path.islink(path):
            tree.link(path, content=os.readlink(path))
        elif stat.S_ISDIR(os.stat(path).st_mode):
            tree.attempt(path, target=path, otherwise=f"the host's {path} is not shown")


def _etc(tree: Tree, *, hostname: str) -> None:
    for name in ETC_ENTRIES:
        path = f"/etc/{name}"
        if os.path.islink(path):
            tree.link(path, content=os.readlink(path))
        elif os.path.exists(path):
            tree.attempt(path, target=path, otherwise=f"the host's {path} is not shown")
    tree.text("/etc/passwd", content=ACCOUNTS)
    tree.text("/etc/group", content=GROUPS)
    tree.text("/etc/hostname", content=f"{hostname}\n")
    tree.text("/etc/hosts", content=f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {hostname}\n")
    tree.text("/etc/resolv.conf", content="# no name server: the instance reaches nothing but the lab's endpoint\n")


def _devices(tree: Tree) -> None:
    tree.folder("/dev")
    options = "size=1m,mode=755"
    flags = kernel.MS_NOSUID | kernel.MS_NODEV
    kernel.mount("tmpfs", target=tree.at("/dev"), kind="tmpfs", flags=flags, options=options)
    for name in DEVICES:
        try:
            # Not read-only: a device node is written through, not to.
            tree.bind(f"/dev/{name}", target=f"/dev/{name}", read_only=False)
        except OSError as error:
            if name == "null":
                raise SetupError(f"/dev/null cannot be shown in the sandbox ({error})") from error
            tree.notes.append(f"/dev/{name} is missing inside: {error}")
    for name, content in DEVICE_LINKS:
        tree.link(f"/dev/{name}", content=content)


def _proc(tree: Tree, *, overlays: list[list[str]]) -> None:
    tree.folder("/proc")
    flags = kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC
    try:
        kernel.mount("proc", target=tree.at("/proc"), kind="proc", flags=flags)
    except OSError as error:
        # A kernel refuses a fresh procfs where the one outside is partly covered, as in many containers.
        tree.notes.append(f"the host's /proc is shown instead of one of its own, with the host's processes: {error}")
        kernel.mount("/proc", target=tree.at("/proc"), flags=kernel.MS_BIND | kernel.MS_REC)
    for name, source in overlays:
        tree.attempt(source, target=f"/proc/{name}", otherwise=f"/proc/{name} is the host's")
    for name in PROC_READ_ONLY:
        if os.path.exists(tree.at(f"/proc/{name}")):
            tree.attempt(tree.at(f"/proc/{name}"), target=f"/proc/{name}", otherwise=f"/proc/{name} is writable")
    for name in PROC_HIDDEN:
        if os.path.exists(tree.at(f"/proc/{name}")):
            tree.attempt("/dev/null", target=f"/proc/{name}", otherwise=f"/proc/{name} is the host's")


def _binds(tree: Tree, *, binds: list[dict[str, Any]]) -> None:
    for item in binds:
        try:
            tree.bind(item["source"], target=item["target"], read_only=item["read_only"])
        except OSError as error:
            text = f"{item['target']} cannot be shown from {item['source']}: {error}"
            if not item["optional"]:
                raise SetupError(f"{text}. Check that the lab's user may read it.") from error
            tree.notes.append(text)
