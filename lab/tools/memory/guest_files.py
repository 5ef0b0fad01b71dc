"""The guest's file system: busybox, bash, an SSH server, the implant, and what makes it the lab's host."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from lab.tools.memory.initramfs import Initramfs
from lab.tools.memory.kernel_modules import modules_folder, with_dependencies
from lab.tools.memory.machines import AMD64, Machine

HERE = Path(__file__).resolve().parent
AMI_DAY = int(datetime(2026, 11, 18, 8, tzinfo=UTC).timestamp())
# When the first session copied it, as the disk image has it.
IMPLANT_COPIED = int(datetime(2026, 11, 21, 2, 6, 12, tzinfo=UTC).timestamp())
# Those that are loaded at the start, in this order, each after what it needs.
MODULES = ("virtio_pci", "virtio_net")
APPLETS = (
    *(
        "sh",
        "init",
        "syslogd",
        "crond",
        "httpd",
        "hostname",
        "ip",
        "insmod",
        "lsmod",
        "usleep",
        "ps",
        "ls",
        "rm",
    ),
    *("id", "w", "netstat", "cat", "tail", "grep", "sleep", "wget", "tr", "readlink", "date", "uname"),
)
APPLET_FOLDERS = {
    "init": "sbin",
    "syslogd": "sbin",
    "insmod": "sbin",
    "crond": "usr/sbin",
    "httpd": "usr/sbin",
}
FOLDERS = (
    *(
        "bin",
        "sbin",
        "dev",
        "proc",
        "sys",
        "run",
        "tmp",
        "etc",
        "etc/dropbear",
        "lib",
        "lib64",
        "lib/modules",
    ),
    *("root", "home", "home/admin", "usr", "usr/bin", "usr/sbin", "usr/local"),
    *("usr/local/lib", "usr/local/lib/.sysd", "var", "var/log", "var/spool", "var/spool/cron"),
    *("var/spool/cron/crontabs", "var/www", "var/www/html", "var/www/html/uploads"),
)
_NEEDED = re.compile(r"\(NEEDED\).*\[([^\]]+)\]")
PASSWD = b"""root:x:0:0:root:/root:/bin/bash
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
admin:x:1000:1000:Debian:/home/admin:/bin/bash
svc-backup:x:0:0::/root:/bin/bash
"""


def build_initramfs(kernel: str, *, root: Path, work: Path, machine: Machine = AMD64) -> Path:
    """Write work/initrd and return it; `root` holds the unpacked packages, `work` what was compiled."""
    fs = Initramfs(mtime=AMI_DAY)
    _add_base(fs, root=root, machine=machine)
    _add_server(fs, kernel=kernel, root=root, machine=machine)
    fs.file("usr/local/lib/.sysd/sysd", work / "implant", mode=0o755, mtime=IMPLANT_COPIED)
    fs.file("root/.ssh/authorized_keys", work / "key.pub", mode=0o600)
    _add_identity(fs)
    initrd = work / "initrd"
    initrd.write_bytes(fs.pack())
    return initrd


def _static(name: str, *, root: Path, machine: Machine) -> Path:
    """A program that needs no libraries: of this machine, or out of the unpacked packages of another architecture."""
    places = (
        [root / place / name for place in ("bin", "usr/bin")] if machine.foreign else [Path(shutil.which(name) or "")]
    )
    return next((place for place in places if place.is_file()), places[0]).resolve()


def _add_base(fs: Initramfs, *, root: Path, machine: Machine) -> None:
    for folder in (*FOLDERS, machine.libraries):
        fs.directory(folder)
    fs.directory("root/.ssh", mode=0o700)
    fs.device("dev/console", major=5, minor=1)
    fs.file("bin/busybox", _static("busybox", root=root, machine=machine), mode=0o755)
    fs.file("bin/bash", _static("bash-static", root=root, machine=machine), mode=0o755)
    for applet in APPLETS:
        fs.symlink(f"{APPLET_FOLDERS.get(applet, 'bin')}/{applet}", "/bin/busybox")
    for name, mode in (("init.sh", 0o755), ("rcS", 0o755), ("inittab", 0o644)):
        fs.file("init" if name == "init.sh" else f"etc/{name}", HERE / name, mode=mode)


def _add_server(fs: Initramfs, *, kernel: str, root: Path, machine: Machine) -> None:
    server = root / "usr/sbin/dropbear"
    fs.file("usr/sbin/sshd", server, mode=0o755)
    found = needed_libraries(server, root=root, machine=machine) if machine.foreign else _libraries(server, root=root)
    for name, library in found.items():
        fs.file(name, library, mode=0o755)
    modules = with_dependencies(MODULES, folder=modules_folder(root, kernel))
    for module, content in modules.items():
        fs.file(f"lib/modules/{module}.ko", content)
    fs.file("lib/modules/order", "".join(f"{module}\n" for module in modules).encode())


def _add_identity(fs: Initramfs) -> None:
    fs.file("etc/hostname", b"ip-10-0-1-23\n")
    fs.file("etc/shells", b"/bin/bash\n/bin/sh\n")
    fs.file("etc/passwd", PASSWD)
    fs.file("etc/group", b"root:x:0:\nwww-data:x:33:\nadmin:x:1000:\n")
    fs.file("root/.profile", b"export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n")
    fs.file("var/www/html/index.html", b"<h1>It works</h1>\n")


def _libraries(program: Path, *, root: Path) -> dict[str, Path]:
    """What the dynamic linker would load for `program`: path in the guest to file here."""
    folder = root / "usr/lib/x86_64-linux-gnu"
    command = ["env", f"LD_LIBRARY_PATH={folder}", "ldd", str(program)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found: dict[str, Path] = {}
    for line in listed.splitlines():
        for word in line.split():
            if word.startswith("/"):
                name = word if word.startswith("/lib64/") else f"/lib/x86_64-linux-gnu/{Path(word).name}"
                found[name] = Path(word)
    return found


def needed_libraries(program: Path, *, root: Path, machine: Machine) -> dict[str, Path]:
    """What a program of another architecture needs, read from its dynamic section (``readelf -d``), which no loader here can run."""
    loader = root / machine.loader
    found = {f"/{machine.loader}": loader.resolve()}
    waiting = [program]
    while waiting:
        shown = subprocess.run(["readelf", "-d", str(waiting.pop())], capture_output=True, text=True, check=True).stdout
        for name in _NEEDED.findall(shown):
            place, here = f"/{machine.libraries}/{name}", library(name, root=root, machine=machine)
            if name != loader.name and place not in found:
                found[place] = here
                waiting.append(here)
    return found


def library(name: str, *, root: Path, machine: Machine) -> Path:
    """A shared library of the unpacked packages, or of this machine where it is of that architecture."""
    folders = [root / machine.libraries, root / "usr" / machine.libraries]
    found = next((folder / name for folder in folders if (folder / name).exists()), None)
    return (found or Path("/") / machine.libraries / name).resolve()
