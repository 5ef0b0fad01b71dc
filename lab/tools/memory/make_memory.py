"""Make the shipped memory image: `python -m lab.tools.memory.make_memory [--out DIR]`. Debian on amd64.

Boots a Debian kernel with a small initramfs under QEMU's software emulation (no KVM, no root), plays the
second half of the intrusion over SSH, stops the machine and saves its RAM as LiME. Takes about two minutes.
The image differs with every run (address space randomisation, timing); the facts come from the guest itself.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab.tools.memory.debian import Archive
from lab.tools.memory.guest_files import build_initramfs
from lab.tools.memory.kernel_image import kernel_file
from lab.tools.memory.lime import system_ram, write_lime
from lab.tools.memory.machines import AMD64, Machine
from lab.tools.memory.observed import observe
from lab.tools.memory.pack import pack
from lab.tools.memory.vm import ATTACKER_SSH_PORT, FileServer, Guest, GuestError, Listener

HERE = Path(__file__).resolve().parent
DEFAULT_OUT = HERE.parents[1] / "evidence" / "shipped" / "memory"
BOOT = "2026-11-21T02:12:00"
MEMORY_MIB = 96
# Seconds: an attacker who waits for a reboot is not there in the same instant.
PAUSE_AFTER_BOOT = 15
CMDLINE = "console={console} panic=-1 quiet net.ifnames=0 init_on_free=1"
TOOLS = {
    "qemu-system-x86_64": "apt-get install qemu-system-x86 seabios",
    "busybox": "apt-get install busybox-static",
    "bash-static": "apt-get install bash-static",
    "gcc": "apt-get install gcc libc6-dev",
    "strip": "apt-get install binutils",
    "make": "apt-get install make",
    "ssh": "apt-get install openssh-client",
    "ssh-keygen": "apt-get install openssh-client",
    "apt-get": "only a Debian machine has it",
    "apt-cache": "only a Debian machine has it",
    "dpkg-deb": "only a Debian machine has it",
}
# Those that are for a guest of this machine's own architecture alone, and what another one needs in their place.
NATIVE_TOOLS = ("qemu-system-x86_64", "busybox", "bash-static", "gcc", "strip", "make")
FOREIGN_TOOLS = {
    "qemu-system-aarch64": "apt-get install qemu-system-arm",
    "readelf": "apt-get install binutils",
}
IMPLANT_FLAGS = [
    "-Os",
    "-s",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-stack-protector",
    "-fno-asynchronous-unwind-tables",
    "-Wl,--build-id=none",
    "-Wl,-z,noseparate-code",
]
SSH_PACKAGES = ("dropbear-bin", "libtomcrypt1", "libtommath1")
# What a guest of another architecture needs and this machine cannot give; all of one release of Debian, the programs static.
FOREIGN_SUITE = "bookworm"
FOREIGN_PACKAGES = ("busybox-static", "bash-static", "libc6", "libcrypt1", "libgmp10")


def missing_tools(machine: Machine = AMD64) -> list[str]:
    """One line per program this machine lacks, with the package that brings it."""
    if machine.foreign:
        tools = {tool: needs for tool, needs in TOOLS.items() if tool not in NATIVE_TOOLS} | FOREIGN_TOOLS
        return [f"{tool}: {needs}" for tool, needs in tools.items() if shutil.which(tool) is None]
    lacks = [f"{tool}: {needs}" for tool, needs in TOOLS.items() if shutil.which(tool) is None]
    busybox = shutil.which("busybox")
    if busybox and not statically_linked(Path(busybox)):
        lacks.append(f"a busybox that needs no libraries ({busybox} does): {TOOLS['busybox']}")
    return lacks


def statically_linked(program: Path) -> bool:
    """Whether an ELF64 program starts without a loader (no PT_INTERP; System V ABI, "Program Header")."""
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return False
    (table,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    return all(struct.unpack_from("<I", data, table + size * n)[0] != 3 for n in range(count))


def newest_kernel() -> str:
    """The release name of the kernel that Debian's linux-image-cloud-amd64 points to."""
    shown = _output(["apt-cache", "show", "--no-all-versions", "linux-image-cloud-amd64"])
    for line in shown.splitlines():
        if line.startswith("Depends: linux-image-"):
            return line.removeprefix("Depends: linux-image-").split()[0].rstrip(",")
    raise GuestError("apt-cache knows no linux-image-cloud-amd64: run apt-get update, or pass --kernel")


def unpack_packages(
    kernel: str, *, work: Path, archive: Archive | None = None, machine: Machine = AMD64, more: tuple[str, ...] = ()
) -> Path:
    """Download the kernel (from ``archive``, else from where this machine's apt has it), the SSH server and ``more``, and unpack
    (never install) them; return the folder. For a foreign architecture everything comes from ``archive``."""
    root, packages = work / "root", work / "packages"
    packages.mkdir()
    image = [f"linux-image-{kernel}"]
    if archive is not None:
        # since 7.x a package without files: the kernel and its modules are in those that it depends on
        parts = re.findall(rf"\blinux-(?:binary|modules)-{re.escape(kernel)}", archive.depends(image[0]))
        image += dict.fromkeys(parts)
        archive.download(image, into=packages)
    wanted = [*(image if archive is None else ()), *SSH_PACKAGES, *more]
    if machine.foreign and archive is not None:
        archive.download([f"{name}/{FOREIGN_SUITE}" for name in (*wanted, *FOREIGN_PACKAGES)], into=packages)
    else:
        subprocess.run(["apt-get", "download", "-q", *wanted], cwd=packages, check=True)
    for package in sorted(packages.glob("*.deb")):
        subprocess.run(["dpkg-deb", "-x", str(package), str(root)], check=True)
    return root


def build_programs(kernel: str, *, work: Path) -> None:
    """Compile the implant and the module that hides itself."""
    source = HERE / "implant.c"
    subprocess.run(["gcc", *IMPLANT_FLAGS, "-o", str(work / "implant"), str(source)], check=True)
    module = work / "module"
    module.mkdir()
    for name in ("lab_hidden.c", "Kbuild"):
        shutil.copy(HERE / name, module / name)
    subprocess.run(["make", "-s", "-C", f"/lib/modules/{kernel}/build", f"M={module}", "modules"], check=True)
    subprocess.run(["strip", "--strip-debug", str(module / "lab_hidden.ko")], check=True)
    make_key(work / "key")


def make_key(path: Path) -> None:
    """A key pair with which this machine logs in to the guest."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(path)], check=True)


def play(guest: Guest) -> subprocess.Popen[bytes]:
    """Type the attacker's session into an interactive shell and leave it open; returns the ssh client."""
    command = guest.ssh("-tt", source_port=ATTACKER_SSH_PORT)
    with (guest.work / "session.out").open("wb") as log:
        client = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
    if client.stdin is None:
        raise GuestError("ssh was started without a standard input")
    time.sleep(6)
    for line in (HERE / "session.txt").read_text().splitlines():
        client.stdin.write(line.encode() + b"\n")
        client.stdin.flush()
        time.sleep(2.5)
    time.sleep(4)
    if client.poll() is not None:
        raise GuestError(f"the attacker's ssh session ended early; read {guest.work / 'session.out'}")
    return client


def capture(guest: Guest, *, image: Path) -> dict[str, bytes]:
    """Stop the machine, save its RAM as LiME, let it run on; returns what a symbol table needs, by name."""
    flat = guest.work / "physical.raw"
    guest.qmp("stop")
    guest.qmp("pmemsave", val=0, size=guest.memory_mib << 20, filename=str(flat))
    guest.qmp("cont")
    sources = {
        "btf": guest.run("cat /sys/kernel/btf/vmlinux"),
        "kallsyms": guest.run("cat /proc/kallsyms"),
        "version": guest.run("cat /proc/version"),
        "iomem": guest.run("cat /proc/iomem"),
    }
    with flat.open("rb") as physical, image.open("wb") as out:
        write_lime(physical, ranges=system_ram(sources["iomem"].decode()), out=out)
    flat.unlink()
    return sources


def make(*, out: Path, kernel: str, work: Path) -> None:
    """Everything, into `out`."""
    root = unpack_packages(kernel, work=work)
    build_programs(kernel, work=work)
    initrd = build_initramfs(kernel, root=root, work=work)
    guest = Guest(
        work=work,
        kernel=kernel_file(root, kernel),
        initrd=initrd,
        key=work / "key",
        memory_mib=MEMORY_MIB,
        clock=BOOT,
        cmdline=CMDLINE.format(console=AMD64.console),
    )
    listener = Listener()
    listener.start()
    files = FileServer(work / "module/lab_hidden.ko")
    guest.start()
    try:
        guest.wait_for_ssh()
        time.sleep(PAUSE_AFTER_BOOT)
        client = play(guest)
        sources = capture(guest, image=work / "memory.lime")
        seen = observe(guest, session=(HERE / "session.txt").read_text().splitlines())
        client.terminate()
    finally:
        guest.stop()
        listener.close()
        files.close()
    made_by = {
        "kernel": kernel,
        "memory_mib": MEMORY_MIB,
        "boot": BOOT + "Z",
        "cmdline": guest.cmdline,
        "emulator": _output(["qemu-system-x86_64", "--version"]).splitlines()[0],
    }
    pack(
        out=out,
        image=work / "memory.lime",
        implant=work / "implant",
        sources=sources,
        seen=seen,
        made_by=made_by,
    )


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> int:
    """Command line; exit status 2 when this machine lacks something, 1 when it did not work."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="where to put the files (%(default)s)")
    parser.add_argument("--kernel", help="release, e.g. 6.1.0-56-cloud-amd64 (default: Debian's newest)")
    parser.add_argument("--keep", type=Path, help="work in this new folder and keep it")
    arguments = parser.parse_args()
    if lacks := missing_tools():
        print("This machine lacks:\n  " + "\n  ".join(lacks), file=sys.stderr)
        return 2
    try:
        kernel = arguments.kernel or newest_kernel()
        if not Path(f"/lib/modules/{kernel}/build").exists():
            print(f"This machine lacks: apt-get install linux-headers-{kernel}", file=sys.stderr)
            return 2
        if arguments.keep:
            arguments.keep.mkdir(parents=True)
            make(out=arguments.out, kernel=kernel, work=arguments.keep)
        else:
            with tempfile.TemporaryDirectory() as folder:
                make(out=arguments.out, kernel=kernel, work=Path(folder))
    except (GuestError, OSError, subprocess.SubprocessError) as error:
        print(
            f"memory image not made: {error}\nFor the guest's logs run again with --keep DIR.",
            file=sys.stderr,
        )
        return 1
    print(json.dumps({"out": str(arguments.out)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
