"""The guest's file system: busybox, bash, an SSH server, the implant, and what makes it the lab's host."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from lab.tools.memory.initramfs import Initramfs
from lab.tools.memory.kernel_modules import modules_folder, with_dependencies

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
    *("lib/x86_64-linux-gnu", "root", "home", "home/admin", "usr", "usr/bin", "usr/sbin", "usr/local"),
    *("usr/local/lib", "usr/local/lib/.sysd", "var", "var/log", "var/spool", "var/spool/cron"),
    *("var/spool/cron/crontabs", "var/www", "var/www/html", "var/www/html/uploads"),
)
PASSWD = b"""root:x:0:0:root:/root:/bin/bash
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
admin:x:1000:1000:Debian:/home/admin:/bin/bash
svc-backup:x:0:0::/root:/bin/bash
"""


def build_initramfs(kernel: str, *, root: Path, work: Path) -> Path:
    """Write work/initrd and return it; `root` holds the unpacked packages, `work` what was compiled."""
    fs = Initramfs(mtime=AMI_DAY)
    _add_base(fs)
    _add_server(fs, kernel=kernel, root=root)
    fs.file("usr/local/lib/.sysd/sysd", work / "implant", mode=0o755, mtime=IMPLANT_COPIED)
    fs.file("root/.ssh/authorized_keys", work / "key.pub", mode=0o600)
    _add_identity(fs)
    initrd = work / "initrd"
    initrd.write_bytes(fs.pack())
    return initrd


def _add_base(fs: Initramfs) -> None:
    for folder in FOLDERS:
        fs.directory(folder)
    fs.directory("root/.ssh", mode=0o700)
    fs.device("dev/console", major=5, minor=1)
    fs.file("bin/busybox", Path(shutil.which("busybox") or "").resolve(), mode=0o755)
    fs.file("bin/bash", Path(shutil.which("bash-static") or "").resolve(), mode=0o755)
    for applet in APPLETS:
        fs.symlink(f"{APPLET_FOLDERS.get(applet, 'bin')}/{applet}", "/bin/busybox")
    for name, mode in (("init.sh", 0o755), ("rcS", 0o755), ("inittab", 0o644)):
        fs.file("init" if name == "init.sh" else f"etc/{name}", HERE / name, mode=mode)


def _add_server(fs: Initramfs, *, kernel: str, root: Path) -> None:
    server = root / "usr/sbin/dropbear"
    fs.file("usr/sbin/sshd", server, mode=0o755)
    for name, library in _libraries(server, root=root).items():
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
